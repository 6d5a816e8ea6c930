"""The web application behind the page, and the server that runs it."""

from __future__ import annotations

import asyncio
import errno
import math
import os
import os.path as osp
import socket
import tempfile
from collections.abc import Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import anyio
import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...datasets.videos import VideoError
from ...errors import UsageError
from ...visualization.annotated_video import annotate
from ..explanation import explain
from ..inferencer import VideoInferencer
from ..inputs import Input
from ..over_time import over_time
from .uploads import MINUTES, TooLarge, Upload, Uploads

STATIC = osp.join(osp.dirname(__file__), 'static')
LOCAL = '127.0.0.1', 'localhost', '[::1]'
HEADERS = {
    'Content-Security-Policy': "default-src 'none'; script-src 'self'; "
    "style-src 'self'; img-src 'self'; connect-src 'self'; media-src 'self' blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
    'Cache-Control': 'no-cache',
}


def serve(
    models: Mapping[str, VideoInferencer],
    host: str = '127.0.0.1',
    port: int = 7860,
    max_size: float = 200,
    top: int = 5,
) -> None:
    """Serve the page until a signal ends it; then all uploads are removed.

    Args:
        models (Mapping[str, VideoInferencer]): By the names that the page shows.
        host (str): The address to listen at. Defaults to this machine only.
        port (int): Defaults to 7860; 0 takes any that is free.
        max_size (float): Megabytes that a video may have. Defaults to 200.
        top (int): Classes to name. Defaults to 5.

    Raises:
        UsageError: If it cannot listen there.
    """
    listener = listen(host, port)
    hosts = LOCAL if listener.getsockname()[0] in ('127.0.0.1', '::1') else ('*',)
    with listener, tempfile.TemporaryDirectory(prefix='page-') as folder:
        app = make_app(models, Uploads(folder, int(max_size * 1e6)), top, hosts)
        config = uvicorn.Config(
            app, log_level='warning', timeout_graceful_shutdown=1, server_header=False
        )
        name = f'[{host}]' if ':' in host else host
        print(
            f'http://{name}:{listener.getsockname()[1]}  (Ctrl-C ends it)', flush=True
        )
        uvicorn.Server(config).run([listener])


def listen(host: str, port: int) -> socket.socket:
    """Open the port that the page is served at.

    Raises:
        UsageError: If it is taken, not allowed, or the host is not this machine.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            reason = 'another program listens there; choose another --port'
        raise UsageError(f'{host} port {port} cannot be used: {reason}') from error


def make_app(
    models: Mapping[str, VideoInferencer],
    uploads: Uploads,
    top: int = 5,
    hosts: tuple[str, ...] = LOCAL,
) -> Starlette:
    """Build the application.

    Args:
        models (Mapping[str, VideoInferencer]): By the names that the page shows.
        uploads (Uploads): Where videos are kept.
        top (int): Classes to name. Defaults to 5.
        hosts (tuple[str, ...]): Names by which browsers may call this machine: another
            site could have its own name point here. Defaults to LOCAL.
    """
    page = _Page(models, uploads, top)
    return Starlette(
        routes=[
            Route('/about', page.about),
            Route('/videos', page.upload, methods=['POST']),
            Route('/videos/{key}', page.remove, methods=['DELETE']),
            Route('/videos/{key}/answers/{model:int}', page.answer, methods=['POST']),
            *(
                Route(f'/videos/{{key}}/{name}', function, methods=[method])
                for name in ('plain', 'annotated/{model:int}')
                for method, function in (('POST', page.make_copy), ('GET', page.copy))
            ),
            *(
                Route('/videos/{key}/why/{model:int}', function, methods=[method])
                for method, function in (('POST', page.explain), ('GET', page.picture))
            ),
            Mount('/', StaticFiles(directory=STATIC, html=True)),
        ],
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False),
            Middleware(_Guard),
        ],
        exception_handlers={
            HTTPException: lambda _, error: _error(error.detail, error.status_code),
            TooLarge: lambda _, error: _error(str(error), 413),
            UsageError: lambda _, error: _error(str(error), 500),
            ClientDisconnect: lambda *_: Response(status_code=400),
            Exception: lambda *_: _error(
                'The page failed; its terminal says why.', 500
            ),
        },
        lifespan=page.lifespan,
    )


class _Page:
    """What the page asks for."""

    def __init__(
        self, models: Mapping[str, VideoInferencer], uploads: Uploads, top: int
    ) -> None:
        self.names, self.models = list(models), list(models.values())
        self.uploads, self.top = uploads, top
        self._one = anyio.CapacityLimiter(1)  # video at a time; others wait

    @asynccontextmanager
    async def lifespan(self, app: Starlette):
        async def clean():
            while True:
                await asyncio.sleep(30)
                self.uploads.remove_old()

        task = asyncio.create_task(clean())
        yield
        task.cancel()

    async def about(self, request: Request) -> Response:
        return JSONResponse(
            dict(
                models=self.names,
                limit=self.uploads.limit,
                minutes=MINUTES,
            )
        )

    async def upload(self, request: Request) -> Response:
        self.uploads.check(int(request.headers.get('content-length', 0)))
        name = osp.basename(request.query_params.get('name', '')) or 'video'
        return JSONResponse(dict(key=await self.uploads.add(name, request.stream())))

    async def remove(self, request: Request) -> Response:
        self.uploads.remove(request.path_params['key'])
        return Response(status_code=204)

    async def answer(self, request: Request) -> Response:
        upload, model = self._find(request)
        when = 'over_time' in request.query_params
        answer = await self._run(_answer, self.models[model], upload, self.top, when)
        upload.answers[model] = answer
        return JSONResponse(answer)

    async def make_copy(self, request: Request) -> Response:
        upload, model = self._find(request)
        if model is not None and model not in upload.answers:
            raise HTTPException(404, 'There is no answer yet.')
        text = [] if model is None else captions(upload.answers[model])
        await self._run(_copy, upload.path, upload.copy(model), text)
        return Response(status_code=204)

    async def copy(self, request: Request) -> Response:
        upload, model = self._find(request)
        if not osp.exists(upload.copy(model)):
            raise HTTPException(404, 'There is no such video yet.')
        return FileResponse(upload.copy(model), media_type='video/mp4')

    async def explain(self, request: Request) -> Response:
        upload, model = self._find(request)
        target = request.query_params.get('class', '')
        if not target.isdecimal():
            raise HTTPException(404, 'There is no such class.')
        await self._run(
            _explain, self.models[model], upload, int(target), upload.picture(model)
        )
        return Response(status_code=204)

    async def picture(self, request: Request) -> Response:
        upload, model = self._find(request)
        if not osp.exists(upload.picture(model)):
            raise HTTPException(404, 'There is no such picture yet.')
        return FileResponse(upload.picture(model), media_type='image/png')

    def _find(self, request: Request) -> tuple[Upload, Any]:
        model = request.path_params.get('model')
        try:
            upload = self.uploads.find(request.path_params['key'])
        except KeyError:
            raise HTTPException(410, 'The video was removed.') from None
        if model is not None and model >= len(self.models):
            raise HTTPException(404, 'There is no such model.')
        return upload, model

    async def _run(self, function: Callable, *arguments: Any) -> Any:
        return await anyio.to_thread.run_sync(
            partial(function, *arguments), limiter=self._one
        )


def _answer(
    inferencer: VideoInferencer, upload: Upload, top: int, when: bool
) -> dict[str, Any]:
    # an Input as it is: find_inputs would take text for a list of other files
    source = Input(upload.path)
    if when:
        answer = over_time(inferencer, source, top=top).answer
    else:
        (answer,) = inferencer.answers([source], top=top)
    if answer['error']:
        answer['error'] = answer['error'].replace(upload.path, upload.name)
    return dict(answer, path=upload.name)


def _copy(path: str, out: str, text: list[tuple[float, float, str]]) -> None:
    try:
        annotate(path, out, text)
    except (OSError, VideoError) as error:
        reason = str(error).replace(path, 'the video')
        raise UsageError(f'A copy cannot be made: {reason}') from error


def _explain(
    inferencer: VideoInferencer, upload: Upload, target: int, out: str
) -> None:
    try:
        found = explain(inferencer, Input(upload.path), target)
        found.name = upload.name
        found.save(out)
    except (OSError, UsageError) as error:
        raise UsageError(str(error).replace(upload.path, upload.name)) from error


def captions(answer: Mapping[str, Any]) -> list[tuple[float, float, str]]:
    """What is written on a video: its segments, or three classes all the time."""
    if 'segments' in answer:
        return [
            (x['start'], x['end'], f'{x["label"]}  {x["score"]:.0%}')
            for x in answer['segments']
        ]
    best = list(zip(answer['labels'], answer['scores']))[:3]
    text = '\n'.join(f'{label}  {score:.0%}' for label, score in best)
    return [(0.0, math.inf, text)]


def _error(sentence: str, status: int) -> Response:
    return JSONResponse(dict(error=sentence), status)


class _Guard:
    """Refuses what other sites send, and adds headers that keep the page to itself."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope['type'] != 'http':
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get('origin')
        if origin is not None and urlsplit(origin).netloc != headers.get('host'):
            response = _error('Another site asked for this.', 403)
            await response(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message['type'] == 'http.response.start':
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self.app(scope, receive, send_with_headers)


def name_models(models: list[str | os.PathLike]) -> list[str]:
    """Names to show for models: as they were given, told apart where they are equal."""
    names = [os.fspath(model) for model in models]
    return [
        f'{name} ({names[: i + 1].count(name)})' if names.count(name) > 1 else name
        for i, name in enumerate(names)
    ]
