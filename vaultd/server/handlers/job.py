"""Jobs, for administrators and for the agent that carries them out."""

import msgspec

from protocol import messages as m
from vaultd import offload
from vaultd.operations import jobs, ordered_restores, removal, work
from vaultd.operations.keyring_join import Join, create_in_keyring
from vaultd.records import JobDefinition
from vaultd.server import answers
from vaultd.server.handlers.keyring import slot_change
from vaultd.server.request import Request


async def create(request: Request) -> m.JobCreateAnswer:
    message: m.JobCreateRequest = request.message
    new = jobs.NewJob(
        job_id=message.job_id,
        computer=message.computer,
        name=message.name,
        definition=msgspec.convert(message.definition, JobDefinition, from_attributes=True),
        revision=message.revision,
        creator_key=message.creator_key,
        signature=message.signature,
        secret=message.secret,
    )
    if message.keyring is None:
        job = await offload.write(jobs.create, request.vault, request.identity, new)
    else:
        join = Join(slot_change(message.keyring.change), message.keyring.signing_key)
        job = await offload.write(create_in_keyring, request.vault, request.identity, new, join)
    return m.JobCreateAnswer(job_id=job.job_id)


async def list_all(request: Request) -> m.JobListAnswer:
    found = await offload.read(jobs.list_all, request.vault, request.identity, request.message.computer)
    return m.JobListAnswer([answers.job(job) for job in found])


async def show(request: Request) -> m.JobShowAnswer:
    message: m.JobShowRequest = request.message
    details = await offload.read(jobs.show, request.vault, request.identity, message.computer, message.job)
    return m.JobShowAnswer(job=answers.job(details.job), runs=[answers.run(run) for run in details.runs])


async def run(request: Request) -> m.JobRunAnswer:
    message: m.JobRunRequest = request.message
    asked = await offload.write(jobs.request_run, request.vault, request.identity, message.computer, message.job)
    request.service.work.ask_run(asked.computer_id, asked.job_id)
    return m.JobRunAnswer(request=asked.number)


async def cancel(request: Request) -> m.JobCancelAnswer:
    message: m.JobCancelRequest = request.message
    done = await offload.write(work.cancel, request.vault, request.identity, message.computer, message.job)
    if done.run:
        request.service.progress.forget_job(done.job_id)
    request.service.work.cancel(done.computer_id, done.job_id)
    return answers.answer(done, m.JobCancelAnswer)


async def request_state(request: Request) -> m.JobRequestAnswer:
    asked: m.JobRequestRequest = request.message
    found = await offload.read(
        jobs.request_state, request.vault, request.identity, asked.computer, asked.job, asked.request
    )
    run = progress = None
    if found.run is not None:
        run = answers.run(found.run)
        if found.state == "running":
            progress = request.service.progress.find(found.job_id, run.run_id)
    return answers.answer(found, m.JobRequestAnswer, run=run, progress=progress)


async def remove(request: Request) -> m.JobRemoveAnswer:
    asked: m.JobRemoveRequest = request.message
    removed = await offload.write(removal.remove_job, request.vault, request.identity, asked.computer, asked.job)
    request.service.progress.forget_job(removed.job_id)
    return m.JobRemoveAnswer(removed.removed_ns)


async def list_for_agent(request: Request) -> m.AgentJobsAnswer:
    found = await offload.read(jobs.list_for_agent, request.vault, request.identity)
    return m.AgentJobsAnswer([answers.answer(job, m.AgentJob) for job in found])


async def wait_for_work(request: Request) -> m.AgentWorkAnswer:
    """The catalog is asked last: a request that was begun or taken back meanwhile is not told."""
    message: m.AgentWorkRequest = request.message
    book = request.service.work
    book.open(request.session)
    if not message.all:
        await book.wait(request.session)
    told = book.take(request.session)
    asked = await offload.read(work.asked_jobs, request.vault, request.identity)
    orders = await offload.read(ordered_restores.asked_orders, request.vault, request.identity)
    run = asked if message.all else [job_id for job_id in asked if job_id in told.run]
    restore = orders if message.all else [order_id for order_id in orders if order_id in told.restore]
    return m.AgentWorkAnswer(run=run, cancel=list(told.cancel), restore=restore)
