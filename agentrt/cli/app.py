"""The commands of ``agentrt``."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Awaitable, Callable
from json import dumps
from typing import Annotated, TypeVar

import anyio
import typer
from rich.console import Console
from rich.text import Text

from agentrt import Agent, AgentrtError, Client, Limits, Registry, Result, UsageError
from agentrt.cli import exits
from agentrt.cli.demo import demo as run_demo
from agentrt.cli.load import load_tool, load_tools
from agentrt.cli.mcp import mcp
from agentrt.cli.show import as_json, ask_on, show_examined, show_run
from agentrt.client.providers import known_providers, resolve
from agentrt.local.engine import OWN_NAMES, require_engine
from agentrt.local.weights import find_weights
from agentrt.registry.doctor import examine
from agentrt.wire.text import visible

__all__ = ["run_app"]

T = TypeVar("T")
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

ProviderOption = Annotated[str | None, typer.Option(help=f"One of {', '.join(sorted(known_providers()))}.")]
ModelOption = Annotated[str | None, typer.Option(help="The model's name; default AGENTRT_MODEL, else the provider's.")]
SpecArgument = Annotated[
    str, typer.Argument(help="module, module:name or file.py: tools, or functions that could be some.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for a script instead.")]


app.add_typer(mcp, name="mcp")


@app.callback()
def _root() -> None:
    """A function-calling agent runtime."""


@app.command()
def demo(provider: ProviderOption = None, model: ModelOption = None, json: JsonOption = False) -> None:
    """Watch a model call two Python tools on real input. Without a key: a tiny model on this machine."""
    chosen, local = _model(provider, None, model)
    if local:
        require_engine()
        find_weights()  # before there is an event loop, so that Ctrl-C ends it at once
    results = _run(functools.partial(run_demo, provider=provider, model=chosen, local=local, as_script=json))
    raise typer.Exit(exits.OK if all(result.status == "completed" for result in results) else exits.NO_ANSWER)


@app.command()
def run(  # noqa: PLR0913, PLR0917 - each is an option of the command
    prompt: Annotated[str, typer.Argument(help="What the agent is asked; - reads it from standard input.")],
    tool: Annotated[
        list[str] | None, typer.Option(help="module:function or file.py:function; may be repeated.")
    ] = None,
    model: ModelOption = None,
    instructions: Annotated[str | None, typer.Option(help="What the model is told before anything else.")] = None,
    provider: ProviderOption = None,
    base_url: Annotated[
        str | None, typer.Option(help="Address of a Responses API, its key in AGENTRT_API_KEY.")
    ] = None,
    max_turns: Annotated[int, typer.Option(help="Requests at most.")] = 50,
    max_tool_calls: Annotated[int | None, typer.Option(help="Calls at most.")] = None,
    parallel: Annotated[bool, typer.Option(help="Run calls of one reply at once.")] = True,
    json: JsonOption = False,
) -> None:
    """Run an agent with your own tools. The answer goes to standard output, the calls to standard error."""
    text = sys.stdin.read() if prompt == "-" else prompt

    async def go() -> Result:
        chosen, _ = _model(provider, base_url, model)
        limits = Limits(max_turns=max_turns, max_tool_calls=max_tool_calls)
        tools = [load_tool(spec) for spec in tool or ()]
        key = os.environ.get("AGENTRT_API_KEY") if base_url else None
        async with Client(provider=provider, base_url=base_url, api_key=key) as client:
            agent = Agent(
                chosen,
                instructions=instructions,
                tools=tools,
                limits=limits,
                parallel_tool_calls=parallel,
                client=client,
            )
            calls, answer = Console(stderr=True, highlight=False), Console(file=sys.stdout, quiet=json)
            decide = ask_on(calls) if sys.stdin.isatty() and sys.stderr.isatty() else None
            with contextlib.redirect_stdout(sys.stderr):  # what a tool prints is no part of the answer
                return await show_run(agent, text, calls=calls, answer=answer, decide=decide)

    result = _run(go)
    if json:
        typer.echo(as_json(result))
    answered = result.status == "completed" or (result.status == "limit" and bool(result.text))
    if result.status == "pending":
        names = ", ".join(visible(pending.name) for pending in result.pending)
        typer.echo(f"agentrt: no answer, the run waits for a decision on {names}", err=True)
        raise typer.Exit(exits.PENDING)
    if not answered:
        reason = f" ({result.stopped_by})" if result.stopped_by else ""
        typer.echo(f"agentrt: no answer, the run ended {result.status}{reason}", err=True)
    raise typer.Exit(exits.OK if answered else exits.NO_ANSWER)


@app.command()
def tools(
    spec: SpecArgument,
    json: JsonOption = False,
) -> None:
    """Print the definitions that a model would see."""
    registry, bad = Registry(), 0
    for tool in load_tools(spec):
        try:
            tool.definition()
            registry.add(tool)
        except UsageError as error:
            bad += 1
            typer.echo(f"agentrt: {visible(str(error))}", err=True)
    typer.echo(dumps(registry.definitions(), ensure_ascii=False, indent=None if json else 2))
    raise typer.Exit(exits.NO_ANSWER if bad else exits.OK)


@app.command()
def doctor(
    spec: SpecArgument,
    json: JsonOption = False,
) -> None:
    """Look at tools: what a model can't know from them, what will not work, what they cost in tokens."""
    examined = examine(load_tools(spec))
    if json:
        rows = [{**one._asdict(), "findings": [finding._asdict() for finding in one.findings]} for one in examined]
        typer.echo(dumps(rows, ensure_ascii=False))
    else:
        show_examined(examined, Console(file=sys.stdout, highlight=False))
    bad = any(finding.level == "error" for one in examined for finding in one.findings)
    raise typer.Exit(exits.NO_ANSWER if bad else exits.OK)


def _model(provider: str | None, base_url: str | None, model: str | None) -> tuple[str, bool]:
    """Choose the model's name, and tell whether it is the embedded one."""
    endpoint = resolve(os.environ, provider=provider, base_url=base_url)
    local = endpoint.base_url.startswith("local://")
    profile = endpoint.profile
    chosen = model or (None if local else os.environ.get("AGENTRT_MODEL")) or profile.model
    if local and chosen and chosen.lower() not in OWN_NAMES and not os.environ.get("AGENTRT_LOCAL_MODEL"):
        raise UsageError(f"{chosen!r} needs a provider: set OPENAI_API_KEY or COMETAPI_KEY; --model local is embedded")
    if chosen is None:
        raise UsageError(f"which model at {endpoint.base_url}? Name it with --model or AGENTRT_MODEL")
    return chosen, local


def _run(function: Callable[[], Awaitable[T]]) -> T:
    return anyio.run(function)


def run_app() -> None:
    """Run the command line; our own errors become one line and an exit code."""
    try:
        app()
    except AgentrtError as error:
        Console(stderr=True, highlight=False).print(
            Text.assemble(("agentrt: ", "bold red"), visible(str(error))), soft_wrap=True
        )
        raise SystemExit(exits.exit_code(error)) from None
