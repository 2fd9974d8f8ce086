import torch

from service.observability.memory import RememberedVerdict, VerdictMemory


def remembered(bundle, verdict, key_id: str = "k", image=None) -> RememberedVerdict:
    return RememberedVerdict(verdict=verdict(0.01), bundle=bundle, digest="0" * 16, key_id=key_id, image=image)


def test_the_oldest_verdict_is_forgotten_first(bundle, verdict):
    memory = VerdictMemory(3)
    for number in range(5):
        memory.remember(f"r{number}", 0, remembered(bundle, verdict))
    assert len(memory) == 3
    assert memory.recall("r1", 0, "k") is None
    assert memory.recall("r2", 0, "k") is not None


def test_each_image_of_a_request_has_its_own(bundle, verdict):
    memory = VerdictMemory(10)
    first, second = remembered(bundle, verdict), remembered(bundle, verdict)
    memory.remember("r", 0, first)
    memory.remember("r", 1, second)
    assert (memory.recall("r", 0, "k"), memory.recall("r", 1, "k"), memory.recall("r", 2, "k")) == (first, second, None)


def test_a_key_neither_sees_nor_displaces_what_another_was_answered(bundle, verdict):
    memory = VerdictMemory(10)
    mine = remembered(bundle, verdict, "mine")
    memory.remember("r", 0, mine)
    memory.remember("r", 0, remembered(bundle, verdict, "other"))
    assert memory.recall("r", 0, "mine") is mine
    assert memory.recall("r", 0, "third") is None


def test_the_record_has_the_names_of_the_labels(bundle, verdict):
    record = remembered(bundle, verdict).record
    assert (record["decision"], record["label_name"], record["p_value"]) == ("adversarial", "cat", 0.01)


def test_images_take_so_many_bytes_and_no_more_and_their_verdicts_stay(bundle, verdict):
    memory = VerdictMemory(100, images_bytes=1000)
    for number in range(30):
        image = torch.zeros(3, 10, 10, dtype=torch.uint8)
        memory.remember(f"r{number}", 0, remembered(bundle, verdict, image=image))
    assert memory.images_bytes == 900
    assert len(memory) == 30
    held = [number for number in range(30) if memory.recall(f"r{number}", 0, "k").image is not None]
    assert held == [27, 28, 29]


def test_bytes_are_given_back_when_a_verdict_is_forgotten_or_replaced(bundle, verdict):
    memory = VerdictMemory(2, images_bytes=10_000)
    for name in ("a", "a", "b", "c", "d"):
        memory.remember(name, 0, remembered(bundle, verdict, image=torch.zeros(100, dtype=torch.uint8)))
    assert memory.images_bytes == 200
    for name in ("e", "f"):
        memory.remember(name, 0, remembered(bundle, verdict))
    assert memory.images_bytes == 0
