"""Names and command lines made to break a page stay text; and the policy holds even where a script tries."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.service.processes import end
from tests.support.chromium import Page
from tests.web.site import site

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.limit(150)]
RAW = {
    "markup": "</script><script>document.title='owned'</script><img src=//127.0.0.1:9/x onerror=alert(1)>",
    "escape": "\x1b[31mred\x1b]0;owned\x07\x1b[2J",
    "attribute": '" onmouseover="alert(1)" x=\'`${alert(1)}`',
    "right_to_left": "\u202egnp.exe\u2066x\u2069 \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "newlines": "a\nb\rc\u2028d\u2029e",
    "long": "A" * 4096,
    "wide": "进程名称" * 300,
    "url": "javascript:alert(1) https://evil.example/",
    "json": '{"__proto__": {"x": 1}} ]]> <!-- \\u003c',
    "prototype": "__proto__",
}
FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200e\u200f\u2028\u2029]")
NAMED = (
    "import ctypes, os, sys\nctypes.CDLL(None).prctl(15, os.fsencode(sys.argv[1])[:15], 0, 0, 0)\n"
    "print('ready', flush=True)\nsys.stdin.read()"
)


def named(text: str) -> subprocess.Popen[str]:
    """A process that has the text as its name (as far as that goes) and in its command line."""
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", NAMED, text], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_they_stay_text_on_every_page(tmp_path: Path) -> None:
    processes = [named(text) for text in RAW.values()]
    processes.append(named("\udcff\udcfe\udcc3(caf\udce9"))
    rules = "".join(
        f'[[watch]]\ntarget = "{process.pid}"\nlabels = {{job = {json.dumps(text[:64])}}}\n'
        for process, text in zip(
            processes, ["plain job", *[f"job <b>{number}</b>" for number in range(10)]], strict=True
        )
    )
    try:
        with site(tmp_path, rules, interval="1s") as page, Page(width=390, height=844) as browser:
            browser.open(page.url, f"document.querySelectorAll('tbody tr a').length === {len(processes)}")
            scripts = browser.value("document.scripts.length")
            check(browser, scripts)
            text = browser.text("tbody")
            assert "</script><script>document.title='owned'</script><img src=//127.0.0.1:9/x" in text
            assert "job <b>1</b>" in text
            assert "\\x1b[31mred" in text
            assert "\\xff\\xfe\\xc3(caf\\xe9" in text
            for name in ("markup", "right_to_left", "long"):
                process = processes[list(RAW).index(name)]
                browser.open(page.base + "/", f"document.querySelector('a[href*=\"/{process.pid}-\"]') !== null")
                browser.value(f"document.querySelector('a[href*=\"/{process.pid}-\"]').click()")
                browser.until("document.querySelectorAll('#threads tbody tr').length > 0")
                check(browser, scripts)
                assert RAW[name][:30].replace("\u202e", "\\u202e").replace("\u2066", "\\u2066")[:12] in browser.text(
                    "h1"
                )
            browser.value("location.hash = '#/alerts'")
            browser.until("document.querySelector('#open') !== null")
            check(browser, scripts)
            for odd in ("#/process/1-1", "#/process/<img>", "#/process/1-1'\"", "#/%00", "#//x", "#__proto__"):
                browser.value(f"location.hash = {json.dumps(odd)}")
                browser.until("document.querySelector('main').children.length === 1")
                check(browser, scripts)
            assert {url.split("/")[2] for url in browser.requests} == {f"127.0.0.1:{page.port}"}
    finally:
        for process in processes:
            end(process)


def check(browser: Page, scripts: int) -> None:
    """Nothing of theirs became an element, and nothing is pushed out of its place."""
    assert browser.value("document.scripts.length") == scripts
    assert browser.value("[...document.images].every(image => image.src.endsWith('/icon.svg'))")
    assert browser.value("document.querySelectorAll('iframe, object, embed, [onmouseover], b b').length") == 0
    assert "owned" not in browser.value("document.title")
    assert browser.dialogs == []
    assert browser.errors == []
    assert not FORBIDDEN.search(browser.text("body"))
    assert browser.value("document.documentElement.scrollWidth <= innerWidth")


def test_the_policy_holds_even_if_a_script_tries(tmp_path: Path) -> None:
    with site(tmp_path) as page, socket.create_server(("127.0.0.1", 0)) as listener, Page() as browser:
        listener.setblocking(False)
        elsewhere = f"http://127.0.0.1:{listener.getsockname()[1]}/leak"
        browser.open(page.url, "document.querySelector('.card') !== null")
        tried = browser.value(
            f"""(async () => {{
              const refused = [];
              const attempt = async (name, does) => {{
                try {{ await does(); }} catch (error) {{ refused.push(name); }}
              }};
              const load = (element) => new Promise((fine, wrong) => {{
                element.onload = fine; element.onerror = wrong; document.body.append(element);
              }});
              await attempt('fetch', () => fetch('{elsewhere}', {{mode: 'no-cors'}}));
              await attempt('image', () => load(Object.assign(new Image(), {{src: '{elsewhere}'}})));
              await attempt('markup', () => {{ document.body.innerHTML += '<b>x</b>'; }});
              await attempt('eval', () => eval('1'));
              await attempt('function', () => new Function('1')());
              await attempt('inline', () => {{
                const script = document.createElement('script');
                script.textContent = 'window.ran = 1';
                document.body.append(script);
                if (!window.ran) throw new Error();
              }});
              await attempt('script', () => {{
                const script = document.createElement('script');
                script.src = '{elsewhere}';
                return load(script);
              }});
              await attempt('style', () => {{
                const made = document.createElement('p');
                made.setAttribute('style', 'position: fixed');
                document.body.append(made);
                if (getComputedStyle(made).position !== 'fixed') throw new Error();
              }});
              await attempt('socket', () => new Promise((fine, wrong) => {{
                const made = new WebSocket('{elsewhere}'.replace('http', 'ws'));
                made.onopen = fine; made.onerror = wrong;
              }}));
              await attempt('cookie', () => {{ if (!document.cookie) throw new Error(); }});
              return refused;
            }})()"""
        )
        assert tried == [
            "fetch",
            "image",
            "markup",
            "eval",
            "function",
            "inline",
            "script",
            "style",
            "socket",
            "cookie",
        ]
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_another_page_gets_nothing(tmp_path: Path) -> None:
    """A page on another port of this host: it is of the same site, so the browser sends it the cookie and ours its."""
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    with site(tmp_path / "one") as page, site(tmp_path / "two") as other, Page() as browser:
        browser.open(page.url, "document.querySelector('.card') !== null")
        cookies = browser.call("Network.getCookies", urls=[other.base])["cookies"]
        assert [each["httpOnly"] for each in cookies] == [True]  # ports do not part cookies, hence the key
        browser.call("Page.setBypassCSP", enabled=True)
        browser.open(other.base + "/", "document.querySelector('.locked') !== null")
        got = browser.value(
            f"""Promise.all(['/api/host?since=1&until=2', '/', '/app.js'].flatMap(path => ['cors', 'no-cors'].map(
              mode => fetch('{page.base}' + path, {{mode, credentials: 'include'}}).then(
                answer => answer.type + answer.status, () => 'refused'))))"""
        )
        assert set(got) == {"refused"}
        assert browser.value("localStorage.getItem('straced-key')") is None
