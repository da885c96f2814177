"""A small authorization server, and an MCP server that wants its tokens."""

import base64
import hashlib
import json
import secrets
from urllib.parse import parse_qs, urlencode

from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse

from tests.mcp.rogue_http import real_server


class Login:
    """An ASGI app that is both.

    Args:
        other: Origin of the authorization server, where it is not this one.
        metadata: Fields to change in what it says of itself.
        resource: Fields to change in what the MCP server says of where to log in.
        expires_in: How long its tokens say to be good.
        refuses: The error that it sends a person back with.
        scope: What a call of a tool needs; listing needs nothing but a token.
    """

    def __init__(self, *, other=None, metadata=None, resource=None, expires_in=3600, refuses=None, scope=None):
        self.other, self.metadata, self.resource = other, metadata or {}, resource or {}
        self.expires_in, self.refuses, self.scope = expires_in, refuses, scope
        self.seen = []
        self.codes, self.tokens, self.clients = {}, {}, {}
        self.forms = []

    def __call__(self):
        self.mcp = real_server().streamable_http_app(json_response=True)
        return self.app

    def paths(self):
        return [path for path, _ in self.seen]

    async def app(self, scope, receive, send):
        if scope["type"] != "http":
            await self.mcp(scope, receive, send)
            return
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.origin = f"http://{headers['host']}"
        path = scope["path"]
        self.seen.append((path, headers.get("authorization", "")))
        if path == "/mcp":
            await self.guarded(scope, receive, send, headers)
            return
        body, more = b"", True
        while more:
            part = await receive()
            body, more = body + part.get("body", b""), part.get("more_body", False)
        query = {name: values[0] for name, values in parse_qs(scope["query_string"].decode()).items()}
        await self.answer(path, body, query, headers)(scope, receive, send)

    def answer(self, path, body, query, headers):
        if path == "/.well-known/oauth-protected-resource/mcp":
            told = {"resource": f"{self.origin}/mcp", "authorization_servers": [self.other or self.origin]}
            return JSONResponse({**told, **self.resource})
        if path == "/.well-known/oauth-authorization-server":
            told = {f"{name}_endpoint": f"{self.origin}/{path}" for name, path in ENDPOINTS.items()}
            return JSONResponse({"issuer": self.origin, **told, **self.metadata})
        if path == "/register":
            client = {**json.loads(body), "client_id": secrets.token_hex(4)}
            self.clients[client["client_id"]] = client
            return JSONResponse(client, 201)
        if path == "/authorize":
            return self.authorize(query)
        if path == "/token":
            return self.token({name: values[0] for name, values in parse_qs(body.decode()).items()}, headers)
        return PlainTextResponse("no such page", 404)

    def authorize(self, query):
        client = self.clients.get(query["client_id"])
        if client is not None and query["redirect_uri"] not in client["redirect_uris"]:
            return PlainTextResponse("another redirect_uri", 400)
        if self.refuses:
            told = {"error": self.refuses, "error_description": "you may not", "state": query["state"]}
        else:
            code = secrets.token_hex(4)
            self.codes[code] = query
            told = {"code": code, "state": query["state"]}
        return RedirectResponse(f"{query['redirect_uri']}?{urlencode(told)}", 302)

    def token(self, form, headers):
        self.forms.append((form, headers.get("authorization", "")))
        if form["grant_type"] == "authorization_code":
            asked = self.codes.pop(form["code"])
            digest = hashlib.sha256(form["code_verifier"].encode()).digest()
            if base64.urlsafe_b64encode(digest).decode().rstrip("=") != asked["code_challenge"]:
                return JSONResponse({"error": "invalid_grant"}, 400)
            return self.grant(asked.get("scope"))
        if form["grant_type"] == "refresh_token" and form["refresh_token"] in self.tokens:
            return self.grant(self.tokens.pop(form["refresh_token"]))
        if form["grant_type"] == "client_credentials":
            pair = base64.b64decode(headers["authorization"].split()[1]).decode()
            return self.grant(form.get("scope")) if pair == "me:secret-of-me" else JSONResponse({"error": "no"}, 401)
        return JSONResponse({"error": "invalid_grant"}, 400)

    def grant(self, scope):
        access, refresh = f"access-{secrets.token_hex(8)}", f"refresh-{secrets.token_hex(8)}"
        self.tokens[access] = self.tokens[refresh] = scope
        told = {"access_token": access, "refresh_token": refresh, "token_type": "bearer", "scope": scope or ""}
        return JSONResponse({**told, **({"expires_in": self.expires_in} if self.expires_in else {})})

    async def guarded(self, scope, receive, send, headers):
        token = headers.get("authorization", "").removeprefix("Bearer ")
        if token not in self.tokens:
            where = f'Bearer resource_metadata="{self.origin}/.well-known/oauth-protected-resource/mcp"'
            await PlainTextResponse("log in", 401, {"www-authenticate": where})(scope, receive, send)
            return
        message = await receive()
        if self.scope and b"tools/call" in message.get("body", b"") and self.scope not in (self.tokens[token] or ""):
            told = f'Bearer error="insufficient_scope", scope="{self.scope}"'
            await PlainTextResponse("more", 403, {"www-authenticate": told})(scope, receive, send)
            return

        first = [message]

        async def again():
            return first.pop() if first else await receive()

        await self.mcp(scope, again, send)


ENDPOINTS = {"authorization": "authorize", "token": "token", "registration": "register"}
