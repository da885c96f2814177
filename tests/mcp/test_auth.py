import json
import stat
import time
from ipaddress import ip_address

import anyio
import httpx2
import pytest
import trustme
from mcp import Client, MCPError
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from agentrt import UsageError
from agentrt.bridges.mcp.endpoint import HttpEndpoint, OAuth
from agentrt.bridges.mcp.guard import Guard, is_public
from agentrt.bridges.mcp.http import HttpTransport
from agentrt.bridges.mcp.loopback import open_browser
from agentrt.bridges.mcp.tokens import FileTokenStore
from agentrt.bridges.mcp.tokens import Login as Kept
from agentrt.errors import AuthenticationError, StoreError, UnreachableError
from tests.mcp.oauth_server import Login
from tests.mcp.rogue_http import serving


class Browser:
    """A person who goes wherever the page leads."""

    def __init__(self):
        self.urls, self.pages = [], []

    def __call__(self, url):
        self.urls.append(url)
        self.pages.append(httpx2.get(url, follow_redirects=True, trust_env=False))


@pytest.fixture
def store(tmp_path):
    return FileTokenStore(tmp_path / "kept" / "logins.json")


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")


def way_to(origin, store, browser=None, *, private_hosts=False, **oauth):
    auth = OAuth(**oauth, store=store, on_browser=browser)
    endpoint = HttpEndpoint(url=f"{origin}/mcp?key=hidden", auth=auth, private_hosts=private_hosts)
    return HttpTransport(endpoint, name="files")


async def use(way, calls=1):
    async with Client(way, mode="2026-07-28", cache=None) as client:
        for _ in range(calls):
            result = await client.session.call_tool("add", {"a": 1, "b": 2})
            assert result.structured_content == {"result": 3}


async def fault_of(way):
    with pytest.raises(BaseException) as raised:  # noqa: PT011 - the SDK wraps it in groups
        await use(way)
    error = raised.value
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, MCPError), error
    return way.error_for(error.data)


async def test_a_person_logs_in_once_and_is_remembered(store, tmp_path):
    login, browser = Login(), Browser()
    with serving(login) as origin:
        await use(way_to(origin, store, browser), calls=3)
        assert len(browser.urls) == 1
        assert browser.pages[0].text.endswith("You can close this page.")
        form, _ = login.forms[0]
        assert form["resource"] == f"{origin}/mcp"
        assert "code_challenge_method=S256" in browser.urls[0]
        await use(way_to(origin, store))  # another process: without a browser
        assert login.paths().count("/token") == 1
        await use(way_to(origin, store, browser, principal="another"))
        assert len(browser.urls) == 2
    file = tmp_path / "kept" / "logins.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert {one["issuer"].rstrip("/") for one in json.loads(file.read_text())["logins"]} == {origin}
    assert all(path == "/mcp" or not seen.startswith("Bearer") for path, seen in login.seen)


async def test_an_ended_login_is_renewed_without_a_person_also_after_a_restart(store):
    login, browser = Login(), Browser()
    with serving(login) as origin:
        await use(way_to(origin, store, browser))
        kept = await store.load(f"{origin}/mcp", "default")
        await store.save(Kept(**{**vars(kept), "expires_at": time.time() - 1}))
        await use(way_to(origin, store))
        assert [form["grant_type"] for form, _ in login.forms] == ["authorization_code", "refresh_token"]
        kept = await store.load(f"{origin}/mcp", "default")
        del login.tokens[kept.tokens["access_token"]]  # ended before it said
        await use(way_to(origin, store))
        assert [form["grant_type"] for form, _ in login.forms[2:]] == ["refresh_token"]
        assert len(browser.urls) == 1


async def test_a_login_that_is_of_no_use_any_more_needs_a_person(store):
    login, browser = Login(), Browser()
    with serving(login) as origin:
        await use(way_to(origin, store, browser))
        login.tokens.clear()
        error = await fault_of(way_to(origin, store))
        assert type(error) is AuthenticationError
        assert "no terminal — run `agentrt mcp login files`" in str(error)
        await use(way_to(origin, store, browser))
        assert len(browser.urls) == 2


async def test_calls_at_once_log_in_once_and_then_do_not_wait_for_each_other(store):
    login, browser = Login(), Browser()
    with serving(login) as origin:
        async with Client(way_to(origin, store, browser), mode="2026-07-28", cache=None) as client:
            async with anyio.create_task_group() as group:
                for _ in range(5):
                    group.start_soon(client.session.call_tool, "add", {"a": 1, "b": 2})
            assert len(browser.urls) == 1
            await client.list_tools()
            began = time.monotonic()
            async with anyio.create_task_group() as group:
                for _ in range(5):
                    group.start_soon(client.session.call_tool, "wait", {"seconds": 0.2})
            assert time.monotonic() - began < 0.9


async def test_a_call_that_needs_more_asks_for_more(store):
    login, browser = Login(scope="write"), Browser()
    with serving(login) as origin:
        async with Client(way_to(origin, store, browser, scopes=["read"]), mode="2026-07-28", cache=None) as client:
            await client.list_tools()
            assert "scope=read&" in browser.urls[0] + "&"
            await client.session.call_tool("add", {"a": 1, "b": 2})
    assert "scope=read+write" in browser.urls[1]


async def test_a_refused_login_says_so(store):
    browser = Browser()
    with serving(Login(refuses="access_denied")) as origin:
        error = await fault_of(way_to(origin, store, browser))
        assert type(error) is AuthenticationError
        assert "access_denied you may not" in str(error)


async def test_what_the_authorization_server_sends_is_not_shown(store, caplog):
    browser = Browser()
    login = Login()
    login.grant = lambda scope: PlainTextResponse('{"access_token": "t0psecret", "token_type": 5}')
    with serving(login) as origin:
        error = await fault_of(way_to(origin, store, browser))
        assert "Invalid token response" in str(error)
        assert "t0psecret" not in str(error) + repr(error.__cause__) + caplog.text
        assert error.__suppress_context__


async def test_a_program_logs_in_with_its_secret(store):
    login = Login()
    with serving(login) as origin:
        options = {"grant": "client_credentials", "client_id": "me", "issuer": origin, "scopes": "jobs"}
        await use(way_to(origin, store, client_secret="secret-of-me", **options), calls=2)
        assert [form["scope"] for form, _ in login.forms] == ["jobs"]
        login.tokens.clear()
        error = await fault_of(way_to(origin, store, client_secret="another", **options))
        assert "check client_id= and client_secret=" in str(error)


@pytest.mark.parametrize("grant", ["client_credentials", "authorization_code"])
async def test_a_secret_goes_to_its_own_authorization_server_only(grant, store):
    login, browser = Login(), Browser()
    options = {"client_id": "me", "client_secret": "secret-of-me", "issuer": "https://as.example.com"}
    with serving(login) as origin:
        error = await fault_of(way_to(origin, store, browser, grant=grant, **options))
        assert type(error) is AuthenticationError
        assert "https://as.example.com" in str(error)
        assert "/token" not in login.paths()
        assert browser.urls == []


def test_a_secret_without_its_issuer_is_refused():
    with pytest.raises(UsageError, match="issuer="):
        OAuth(client_id="a", client_secret="b")
    with pytest.raises(UsageError, match="issuer="):
        OAuth(grant="client_credentials", client_id="a", client_secret="b")
    with pytest.raises(UsageError, match="grant="):
        OAuth(grant="password")
    with pytest.raises(UsageError, match="client_metadata_url="):
        OAuth(client_metadata_url="http://a/b")


async def test_strangers_at_the_callback_are_turned_away(store):
    answers = []

    def browser(url):
        back = httpx2.URL(url).params["redirect_uri"]
        bad = (f"{back}?code=x&state=wrong", f"{back}?code=x", back.replace("/callback", "/"), f"{back}x?state=")
        answers.extend(httpx2.get(url, trust_env=False).status_code for url in bad)
        answers.append(httpx2.post(back, trust_env=False).status_code)
        Browser()(url)

    with serving(Login()) as origin:
        await use(way_to(origin, store, browser))
    assert answers == [404] * 5


async def test_a_registered_client_comes_back_to_its_own_port(store):
    login, browser = Login(), Browser()
    with serving(login) as origin:
        await use(way_to(origin, store, browser))
        login.tokens.clear()
        await use(way_to(origin, store, browser))
        assert len(login.clients) == 1
        login.tokens.clear()
        port = httpx2.URL(browser.urls[0]).params["redirect_uri"].split(":")[2].split("/")[0]
        async with await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=int(port)):
            await use(way_to(origin, store, browser))
            assert len(login.clients) == 2
            error = await fault_of(
                way_to(origin, FileTokenStore(store._path.with_name("x")), browser, redirect_port=int(port))
            )
            assert "is in use" in str(error)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "calc:run", "javascript:alert(1)", "", "-x"])
def test_nothing_but_a_browser_is_ever_opened(url):
    shown = []
    with pytest.raises(UsageError, match="another program"):
        open_browser(url, shown.append)
    assert shown == []


# --- where a login may lead


@pytest.mark.parametrize(
    "lead",
    [
        {"resource": {"authorization_servers": ["http://127.0.0.2:9/"]}},
        {"resource": {"authorization_servers": ["https://10.0.0.1/"]}},
        {"resource": {"authorization_servers": ["https://[::1]/"]}},
        {"resource": {"authorization_servers": ["http://example.com/"]}},
        {"metadata": {"token_endpoint": "https://169.254.169.254/latest"}},
        {"metadata": {"registration_endpoint": "https://192.168.0.1/"}},
    ],
)
async def test_a_login_that_leads_into_a_private_network_is_refused(lead, store):
    with serving(Login(**lead)) as origin:
        error = await fault_of(way_to(origin, store, Browser()))
        assert type(error) is UsageError
        assert "private_hosts=" in str(error)


async def test_an_authorization_server_on_the_same_host_may_have_its_own_port(store):
    other = Login()
    with serving(other) as elsewhere, serving(login := Login(other=elsewhere)) as origin:
        other.tokens = login.tokens
        await use(way_to(origin, store, Browser()))
        assert "/token" in other.paths()
        assert "/token" not in login.paths()
        assert not any(seen.startswith("Bearer") for _, seen in other.seen)


PRIVATE = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "100.127.255.255",
    "127.0.0.1",
    "127.1.2.3",
    "127.255.255.255",
    "168.63.129.16",
    "169.254.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.9",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "192.168.255.255",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:7f00:1::1",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:a00:1::1",
    "2002:a9fe:a9fe::1",
    "2002:c0a8:1::1",
    "3fff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.1",
    "100.63.255.255",
    "100.128.0.1",
    "126.255.255.255",
    "128.0.0.1",
    "169.253.1.1",
    "172.15.1.1",
    "172.32.0.1",
    "192.167.1.1",
    "192.169.1.1",
    "198.17.1.1",
    "198.20.0.1",
    "223.255.255.255",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2002:808:808::1",
    "2001:4860:4860::8888",
    "2606:4700::1111",
    "2a00:1450::1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_of_a_private_network_is_known(address):
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_internet_is_known(address):
    assert is_public(ip_address(address))


class Resolver:
    """Gives the answers of a table, one after another."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), []

    async def __call__(self, host, port):
        self.asked.append((host, port))
        return self.answers.pop(0)


def guarded(resolve, url="https://mcp.example.com/mcp", **options):
    return httpx2.AsyncClient(transport=Guard(HttpEndpoint(url=url, **options), resolve=resolve), trust_env=False)


@pytest.mark.parametrize("address", PRIVATE)
async def test_no_name_leads_to_a_private_address_also_beside_public_ones(address):
    resolve = Resolver(["8.8.8.8", address])
    async with guarded(resolve) as client:
        with pytest.raises(UsageError, match="is on a private network"):
            await client.get("https://as.example.com/x?key=hidden")
    assert resolve.asked == [("as.example.com", 443)]


@pytest.mark.parametrize(
    "url",
    [
        "http://as.example.com/",
        "ftp://as.example.com/",
        "https://me:pass@as.example.com/",
        "http://localhost/",
        "http://[::1]/",
    ],
)
async def test_a_login_goes_over_https(url):
    async with guarded(Resolver(["8.8.8.8"])) as client:
        with pytest.raises(UsageError, match="https"):
            await client.get(url)


async def test_a_name_that_changes_its_mind_is_connected_to_where_it_was_looked_at(monkeypatch, tmp_path):
    authority = trustme.CA()
    certificate = authority.issue_cert("as.example.com")
    seen = []

    async def here(request):
        seen.append(request.headers["host"])
        return PlainTextResponse("here")

    app = Starlette(routes=[Route("/", here)])

    from agentrt.bridges.mcp import shared

    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    shared.tls.cache_clear()
    try:
        certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
        with serving(lambda: app, ssl_certfile=tmp_path / "both.pem") as origin:
            port = origin.rpartition(":")[2]
            resolve = Resolver(["127.0.0.1"], ["10.0.0.1"])
            async with guarded(resolve, private_hosts=("as.example.com",)) as client:
                assert (await client.get(f"https://as.example.com:{port}/")).text == "here"
            assert seen == [f"as.example.com:{port}"]
            assert len(resolve.asked) == 1
            async with guarded(Resolver(["127.0.0.1"]), private_hosts=True) as client:
                with pytest.raises(httpx2.ConnectError):
                    await client.get(f"https://another.example.com:{port}/")
    finally:
        shared.tls.cache_clear()


async def test_the_own_name_of_a_public_server_is_no_way_in():
    async with guarded(Resolver(["127.0.0.1"])) as client:
        with pytest.raises(UsageError, match="private network"):
            await client.get("https://mcp.example.com:8443/")


async def test_a_name_without_an_address_is_unreachable():
    async def nothing(host, port):
        raise OSError

    for resolve in (Resolver([]), nothing):
        async with guarded(resolve) as client:
            with pytest.raises(UnreachableError, match="has no address") as raised:
                await client.get("https://as.example.com/")
            assert not raised.value.sent


async def test_behind_a_proxy_numbers_are_looked_at_and_names_are_left_to_it(monkeypatch):
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    async with guarded(Resolver()) as client:
        for url in ("https://10.0.0.1/", "https://localhost/"):
            with pytest.raises(UsageError, match="private network"):
                await client.get(url)
        with pytest.raises(httpx2.ConnectError):
            await client.get("https://as.example.com/")


async def test_what_a_login_reads_is_bounded(store):
    login = Login(metadata={"service_documentation": "https://a/" + "x" * 2_000_000})
    with serving(login) as origin:
        assert "more than the 1048576" in str(await fault_of(way_to(origin, store, Browser())))


# --- the file


async def test_a_file_that_others_may_read_is_closed_to_them(tmp_path, caplog):
    store = FileTokenStore(tmp_path / "logins.json")
    await store.save(Kept(server="s", issuer="i", tokens={"access_token": "t0psecret"}))
    (tmp_path / "logins.json").chmod(0o644)
    kept = await store.load("s", "default")
    assert kept.tokens == {"access_token": "t0psecret"}
    assert "t0psecret" not in repr(kept)
    assert stat.S_IMODE((tmp_path / "logins.json").stat().st_mode) == 0o600
    assert "could be read by others" in caplog.text


async def test_logins_are_kept_apart_and_can_be_forgotten(tmp_path):
    store = FileTokenStore(tmp_path / "logins.json")
    for server, issuer, principal in (("a", "x", "me"), ("a", "y", "me"), ("a", "x", "you"), ("b", "x", "me")):
        await store.save(Kept(server=server, issuer=issuer, principal=principal, tokens={"access_token": issuer}))
    assert (await store.load("a", "me")).issuer == "y"
    await store.save(Kept(server="a", issuer="x", principal="me"))
    assert (await store.load("a", "me")).issuer == "x"
    await store.forget("a", "me")
    assert await store.load("a", "me") is None
    assert (await store.load("a", "you")).issuer == "x"
    assert await FileTokenStore(tmp_path / "none.json").load("a", "me") is None


async def test_saves_at_once_lose_nothing(tmp_path):
    async with anyio.create_task_group() as group:
        for number in range(20):
            store = FileTokenStore(tmp_path / "logins.json")
            group.start_soon(store.save, Kept(server=str(number), issuer="i"))
    for number in range(20):
        assert await FileTokenStore(tmp_path / "logins.json").load(str(number), "default") is not None
    assert {path.name for path in tmp_path.iterdir()} <= {"logins.json", "logins.json.lock"}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"logins": [{"a": 1}]}', '{"logins": 5}'])
async def test_a_broken_file_is_named(tmp_path, text):
    (tmp_path / "logins.json").write_text(text)
    (tmp_path / "logins.json").chmod(0o600)
    with pytest.raises(StoreError, match=r"logins.json.*log in again"):
        await FileTokenStore(tmp_path / "logins.json").load("a", "me")
