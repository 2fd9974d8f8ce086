import dataclasses

import numpy as np

from service.offline.report.cards import cluster_cards, flagged_cards, profile_limits
from service.offline.summary.parts import Clusters


def test_a_card_says_what_was_flagged_and_why(summary, pictures):
    card, _ = flagged_cards(summary, pictures)
    assert card["verdict"] == "p = 0.001, q = 0.02" and card["is_discovery"]
    assert dict(card["facts"]) == {
        "classifier": "three",
        "given": "eight",
        "suspected": "eight",
        "score": "7.25",
        "barrier": "0.5 nats",
        "digest": "d" * 16,
    }


def test_the_points_of_the_curve_stand_beneath_the_pictures_of_the_strip(summary, pictures):
    card, gone = flagged_cards(summary, pictures)
    assert [caption for _, caption, _ in card["pictures"]] == ["image", "0.2", "0.4", "three"]
    assert card["suspected"][1] == "eight"
    # A vertical rule and a dot for each point.
    assert card["curve"].count('stroke="var(--rule)"') + card["curve"].count("stroke: var(--rule)") == 4
    assert gone["curve"] is None and gone["refusal"] == "the file is gone" and dict(gone["facts"])["copies"] == "3"


def test_a_curve_with_a_gap_is_not_drawn(summary, pictures):
    gap = dataclasses.replace(summary.ranked[0], profile=(0.1, None, 0.2, 0.0))
    card, _ = flagged_cards(dataclasses.replace(summary, ranked=(gap, summary.ranked[1])), pictures)
    assert card["curve"] is None


def test_an_undecided_image_says_why_and_has_no_figures(summary, pictures):
    undecided = dataclasses.replace(
        summary.ranked[0],
        decision="undecided",
        error="the score is not finite\n",
        p_value=None,
        q_value=None,
        score=None,
        barrier=None,
        suspected_label_name=None,
        given_label=None,
        profile=(),
    )
    card, _ = flagged_cards(dataclasses.replace(summary, ranked=(undecided, summary.ranked[1])), pictures)
    assert card["verdict"] == "undecided: the score is not finite\ufffd"
    assert list(dict(card["facts"])) == ["classifier", "digest"]
    assert card["curve"] is None and card["suspected"] is None


def test_all_profiles_have_one_scale(summary, nothing_flagged):
    assert profile_limits(summary) == (0.0, 0.6)
    assert profile_limits(nothing_flagged) == (0.0, 1.0)


def test_the_card_of_a_group_counts_what_it_does_not_name(summary, pictures):
    (card,) = cluster_cards(summary, pictures)
    assert card["title"] == "Group 1: 12 images" and card["figures"] == "median score 4, barrier –"
    assert card["pairs"] == [("three → eight", "9"), ("others", "3")]
    assert card["folders"] == [("a", "10"), ("the source itself", "2")]
    assert len(card["examples"]) == 1 and card["n_missing"] == 1
    assert "<svg" in card["profile"]


def test_a_group_that_is_aimed_at_a_label_says_so(summary, pictures):
    aimed = dataclasses.replace(summary.clusters.clusters[0], aimed_at="three")
    found = dataclasses.replace(summary, clusters=Clusters(n_considered=12, n_unclustered=0, clusters=(aimed,)))
    assert cluster_cards(found, pictures)[0]["title"] == "Group 1: 12 images, as if aimed at “three”"


def test_a_group_without_paths_has_no_curve(summary, pictures):
    bare = dataclasses.replace(summary.clusters.clusters[0], profile=(), profile_lower=(), profile_upper=())
    found = dataclasses.replace(summary, clusters=Clusters(n_considered=12, n_unclustered=0, clusters=(bare,)))
    assert cluster_cards(found, pictures)[0]["profile"] is None


def test_large_pictures_are_not_drawn_as_squares(summary, pictures):
    large = np.zeros((3, 224, 224), np.uint8)
    strips = (dataclasses.replace(pictures.strips[0], image=large), pictures.strips[1])
    card, _ = flagged_cards(summary, dataclasses.replace(pictures, strips=strips))
    assert not card["is_pixelated"]
    assert flagged_cards(summary, pictures)[0]["is_pixelated"]
