import pytest

from service.errors import InputError
from service.rest.multipart import FormReader, boundary_of

FORM = (
    b'--b\r\nContent-Disposition: form-data; name="one"\r\n\r\nfirst\r\n'
    b'--b\r\nContent-Disposition: form-data; name="two"; filename="a.png"\r\nContent-Type: image/png\r\n\r\nsecond\r\n'
    b"--b--\r\n"
)


class Listener(FormReader):
    def __init__(self, **bounds):
        super().__init__(boundary_of("multipart/form-data; boundary=b"), **bounds)
        self.parts = []

    def part_begins(self, options):
        self.parts.append([dict(options), b"", False])

    def part_goes_on(self, data):
        self.parts[-1][1] += data

    def part_ends(self):
        self.parts[-1][2] = True


@pytest.mark.parametrize("size", [1, 7, len(FORM)])
def test_a_form_is_the_same_in_whatever_pieces_it_comes(size):
    listener = Listener()
    for start in range(0, len(FORM), size):
        listener.read(FORM[start : start + size])
    listener.finish()
    assert listener.parts == [
        [{b"name": b"one"}, b"first", True],
        [{b"name": b"two", b"filename": b"a.png"}, b"second", True],
    ]


def test_a_form_without_its_last_boundary_is_cut_off():
    listener = Listener()
    listener.read(FORM[:-6])
    with pytest.raises(InputError, match="cut off"):
        listener.finish()


def test_a_header_is_no_longer_than_is_allowed():
    with pytest.raises(InputError, match="too long a header"):
        Listener(longest_header=20).read(FORM)


def test_a_form_whose_type_names_no_boundary_is_refused():
    with pytest.raises(InputError, match="names no boundary"):
        boundary_of("multipart/form-data")
