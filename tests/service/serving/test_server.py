import pytest

from service.errors import InputError
from service.serving.server import make_runtime
from service.settings import ServeSettings


def test_steps_that_do_not_fit_into_memory_are_refused_before_anything_is_served():
    with pytest.raises(InputError, match=r"--batch-images 10000000000 would take .* images fit"):
        make_runtime(ServeSettings(bundles=("digits",), device="cpu", batch_images=10**10))
