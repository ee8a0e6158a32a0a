"""An endpoint that starts jobs, and tells of each what it asks of the kernel, while it runs and afterwards.

    pip install fastapi uvicorn straced
    uvicorn fastapi_jobs:app
    curl -X POST 'http://127.0.0.1:8000/jobs?command=find%20/etc'
    curl 'http://127.0.0.1:8000/jobs/1'

One Profiler serves all requests; what it has attached to is detached when the application ends.
"""

from __future__ import annotations

import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, HTTPException

import straced


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Keep the profiler as long as the application runs."""
    async with straced.Profiler() as profiler:
        app.state.profiler = profiler
        app.state.jobs = []
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/jobs")
async def start(command: str) -> dict[str, int]:
    """Start a job, counted from its first instruction."""
    try:
        session = await app.state.profiler.spawn(shlex.split(command))
    except straced.StracedError as error:
        raise HTTPException(503, {"code": error.code, "reason": error.reason, "hint": error.hint}) from error
    app.state.jobs.append(session)
    return {"job": len(app.state.jobs), "pid": session.target.pid}


@app.get("/jobs/{job}")
async def look(job: int) -> dict[str, Any]:
    """What a job has asked of the kernel so far, or in all when it has ended."""
    if not 1 <= job <= len(app.state.jobs):
        raise HTTPException(404, "no such job")
    session = app.state.jobs[job - 1]
    summary = await session.summary() if session.alive else await session.result()
    return {
        "running": session.alive,
        "quality": summary.quality.kind,
        "calls": summary.total.calls,
        "errors": summary.total.errors,
        "most": {row.name: row.calls for row in sorted(summary.rows, key=lambda row: -(row.calls or 0))[:5]},
    }


@app.get("/jobs/{job}/why")
async def why(job: int) -> dict[str, Any]:
    """Why a job does not go on, and who holds it up."""
    if not 1 <= job <= len(app.state.jobs):
        raise HTTPException(404, "no such job")
    answer = await straced.why(app.state.jobs[job - 1].target.pid, duration=0.5)
    return answer.to_dict()
