"""`vaultctl job`: what of a computer is backed up, and asking for a run."""

from functools import partial

import click

from protocol.messages.job import JobSummary
from tools.client import calls
from tools.client.documents import document_of, path_text
from tools.client.job_options import decode_options
from tools.client.program import Group
from tools.client.tables import fields_text
from tools.client.terminal_text import escape_text
from tools.client.units import time_json, time_text
from tools.vaultctl.commands.job_create import create
from tools.vaultctl.commands.job_freeze import freeze, unfreeze
from tools.vaultctl.commands.job_run import cancel, run
from tools.vaultctl.confirmed_removal import confirm_removal
from tools.vaultctl.definition import cipher_name, job_document
from tools.vaultctl.identity import ask_vault, output_of
from tools.vaultctl.listing import job_state, jobs_text, runs_text


@click.group("job", cls=Group)
def command() -> None:
    """Jobs: what is backed up (administrator)."""


command.add_command(create)


@command.command("list")
@click.argument("computer")
@click.pass_context
def list_jobs(ctx: click.Context, computer: str) -> None:
    """Lists the jobs of a computer."""
    jobs = ask_vault(ctx, partial(calls.list_jobs, computer=computer)).jobs
    output_of(ctx).show([job_document(job) for job in jobs], lambda: jobs_text(jobs))


@command.command("show")
@click.argument("computer")
@click.argument("job")
@click.pass_context
def show(ctx: click.Context, computer: str, job: str) -> None:
    """Shows one job and its latest runs."""
    answer = ask_vault(ctx, partial(calls.show_job, computer=computer, job=job))
    output_of(ctx).show(
        {**job_document(answer.job), "runs": [document_of(run) for run in answer.runs]},
        lambda: f"{fields_text(_fields(answer.job))}\n\n{runs_text(answer.runs)}",
    )


command.add_command(run)
command.add_command(cancel)
command.add_command(freeze)
command.add_command(unfreeze)


@command.command("remove")
@click.argument("computer")
@click.argument("job")
@click.option("--yes", is_flag=True, help="Do not ask; nobody is asked without a terminal.")
@click.pass_context
def remove(ctx: click.Context, computer: str, job: str, *, yes: bool) -> None:
    """Ends a job: it is not run any more. Its safesets stay, and can be restored with its password."""
    name = f"job {escape_text(job)} of {escape_text(computer)}"
    confirm_removal(f"Remove {name}? It is never run again, and nothing takes that back; its safesets stay.", yes=yes)
    removed = ask_vault(ctx, partial(calls.remove_job, computer=computer, job=job))
    output_of(ctx).show(
        {"computer": computer, "job": job, "removed": time_json(removed.removed_ns)},
        lambda: f"Job {job} of {computer} is removed. Its safesets stay, and can be restored with its password.",
    )


def _fields(job: JobSummary) -> list[tuple[str, str]]:
    definition = job.definition
    fields = [("computer", job.computer), ("job", job.name), ("created (UTC)", time_text(job.created_ns))]
    fields += [("include", path_text(path)) for path in definition.include]
    fields += [("exclude", pattern) for pattern in definition.exclude]
    return [
        *fields,
        ("one file system", "yes" if definition.one_file_system else "no"),
        ("schedule", definition.schedule or "-"),
        ("retention", definition.retention or "-"),
        ("cipher", cipher_name(definition.suite)),
        ("compression", str(definition.compression)),
        ("both sites", "yes" if definition.both_sites else "no"),
        *((f"option {name}", str(value)) for name, value in decode_options(definition.options).items()),
        ("newest safeset", str(job.head_sequence) if job.head_sequence else "-"),
        ("state", job_state(job)),
        *([("frozen", job.frozen)] if job.frozen else []),
    ]
