import pytest


@pytest.fixture
def script(serve, monkeypatch):
    """Start a scripted provider that the agents' own clients find in the environment."""

    def start(*replies):
        server = serve(*replies)
        monkeypatch.setenv("AGENTRT_BASE_URL", server.url)
        monkeypatch.setenv("AGENTRT_API_KEY", "k")
        return server

    return start
