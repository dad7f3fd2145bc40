"""Why a safeset stays or goes, in words."""

REASONS = {
    "newest": "the newest stays",
    "pinned": "pinned",
    "days": "within its days",
    "copies": "within its copies",
    "unknown_type": "its type does not exist",
    "year": "older than 365 days",
    "terms": "beyond days and copies",
    "limit": "beyond 44 safesets",
    "administrator": "deleted by an administrator",
}
