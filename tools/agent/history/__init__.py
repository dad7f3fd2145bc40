"""The safesets of a job as the agent saw them follow one another."""
