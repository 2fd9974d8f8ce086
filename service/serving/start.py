"""`isthmus serve`: what can be wrong in a moment is told in a moment, before anything heavy is imported."""

from collections.abc import Sequence
from pathlib import Path

from service.errors import InputError
from service.rest.guards.keys import KeyRing
from service.rest.guards.origins import checked_origins
from service.serving.listening import open_socket, open_tls
from service.settings import ServeSettings


def run_server(settings: ServeSettings) -> int:
    """Serve until a signal comes.

    Returns:
        The exit code: 0 if everything that was accepted was answered.

    Raises:
        InputError, DetectorError, ModelError: a setting, a bundle or a file is not what it should be.
    """
    with open_socket(settings) as listener:
        tls = open_tls(settings)
        KeyRing.from_settings(settings)
        checked_origins(settings.cors_origins)
        _require_folders(settings.audit_folders)
        from service.serving.server import serve  # noqa: PLC0415

        return serve(settings, listener, tls)


def _require_folders(folders: Sequence[Path]) -> None:
    for folder in folders:
        try:
            is_folder = folder.is_dir()
        except OSError:
            is_folder = False
        if not is_folder:
            raise InputError(f"{folder} is not a folder that can be read; give --audit-folder one that is there")
