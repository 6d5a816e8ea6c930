"""A browser, and servers that it visits; ``make test-page`` installs what they need."""

import shutil
import threading
import time

import pytest
import uvicorn
from playwright.sync_api import sync_playwright

from mmaction_videomambapro.apis.page.app import listen, make_app
from mmaction_videomambapro.apis.page.uploads import Uploads
from tests.apis.conftest import checkpoint, config, inferencer, model_options

__all__ = ['checkpoint', 'config', 'inferencer', 'model_options']
BROWSERS = 'chromium', 'chromium-browser', 'google-chrome'


@pytest.fixture(scope='session')
def browser():
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    options = [
        '--no-sandbox',
        '--disable-dev-shm-usage',  # containers lack them
        '--use-fake-device-for-media-stream',
        '--use-fake-ui-for-media-stream',
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=options)
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    """A tab that fails the test if the page asks another host, or raises an error."""
    context = browser.new_context(viewport=dict(width=1280, height=900))
    tab, wrong = context.new_page(), []
    tab.on('request', lambda x: wrong.append(x.url) if _elsewhere(x.url) else None)
    tab.on('pageerror', lambda error: wrong.append(str(error)))
    tab.set_default_timeout(20_000)
    yield tab
    context.close()
    assert not wrong


def _elsewhere(url):
    return not url.startswith(('http://127.0.0.1:', 'blob:http://127.0.0.1:'))


@pytest.fixture
def served(tmp_path):
    """Serves the page for models, and gives its address."""
    started = []

    def serve(models, limit=10_000_000, top=5):
        listener = listen('127.0.0.1', 0)
        app = make_app(models, Uploads(str(tmp_path), limit), top)
        server = uvicorn.Server(uvicorn.Config(app, log_level='warning'))
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        started.append((server, thread))
        while not server.started:
            time.sleep(0.01)
        return f'http://127.0.0.1:{listener.getsockname()[1]}'

    yield serve
    for server, thread in started:
        server.should_exit = True
        thread.join()
