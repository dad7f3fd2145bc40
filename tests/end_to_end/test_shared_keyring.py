"""Two jobs with one keyring, with the real programs: what both have is stored once, and one password opens both."""

from pathlib import Path

from tests.end_to_end.conftest import Done, Site, differences, restored
from tests.support.trees import write_tree


def secret_file(site: Site, name: str, text: str) -> Path:
    path = site.directory / name
    path.touch(mode=0o600)
    path.write_text(text + "\n")
    return path


def share(site: Site, tree: Path, *words: object) -> Done:
    return site.run_administrator(
        "acme", "job", "create", "pc-2", "second", "--include", tree, "--keyring", "pc-1/first", "--trust-agent-key",
        *words,
    )  # fmt: skip


def test_the_second_job_with_the_same_data_uploads_almost_nothing(site: Site, tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", small_files=10)
    site.create_account("acme")
    for computer in ("pc-1", "pc-2"):
        site.register("acme", computer)
    code = site.create_job("acme", "pc-1", "first", tree)
    first, password = site.backup("pc-1", "first"), site.password("first")
    wrong = secret_file(site, "wrong.password", "not the password")

    asked = share(site, tree, "--password-file", password)
    assert (asked.exit_code, "give --yes" in asked.error) == (2, True)
    assert "all jobs of a keyring open with one password" in asked.error
    assert share(site, tree, "--yes", "--password-file", wrong).exit_code == 12
    assert site.run_administrator("acme", "job", "list", "pc-2").last == []
    by_code = secret_file(site, "recovery.code", code)
    created = share(site, tree, "--yes", "--password-file", password, "--recovery-code-file", by_code)
    assert created.exit_code == 0, created.error
    assert created.last["recovery_code"] is None

    second = site.backup("pc-2", "second")
    assert second["protected_bytes"] == first["protected_bytes"]
    assert second["uploaded_bytes"] < 50_000 < first["uploaded_bytes"]
    assert site.backup("pc-1", "first")["safeset"] == 2
    for computer, job in (("pc-1", "first"), ("pc-2", "second")):
        for name, secret in (("password", ("--password-file", password)), ("code", ("--recovery-code-file", by_code))):
            target = tmp_path / f"{job}-by-{name}"
            assert site.run_agent(computer, "restore", job, "--target", target, *secret).exit_code == 0
            assert differences(tree, restored(target, tree)) == []

    new = secret_file(site, "new.password", "another good password")
    changed = site.run_administrator(
        "acme", "keyring", "password", "pc-2", "second", "--password-file", password, "--new-password-file", new
    )
    both = [{"computer": "pc-1", "job": "first"}, {"computer": "pc-2", "job": "second"}]
    assert sorted(changed.last["jobs"], key=str) == both
    old = ("restore", "first", "--target", tmp_path / "old", "--password-file", password)
    assert site.run_agent("pc-1", *old).exit_code == 12

    rotated = site.run_administrator(
        "acme", "keyring", "password", "pc-1", "first", "--password-file", new, "--rotate", "--no-recovery-code"
    )
    assert (rotated.exit_code, rotated.last["generation"]) == (0, 2)
    assert [site.backup("pc-1", "first")["safeset"], site.backup("pc-2", "second")["safeset"]] == [3, 2]
    for number in (1, 2):
        target = tmp_path / f"second-{number}"
        words = ("restore", "second", "--safeset", number, "--target", target, "--password-file", new)
        assert site.run_agent("pc-2", *words).exit_code == 0
        assert differences(tree, restored(target, tree)) == []
    site.stop()
    assert site.check().exit_code == 0
