import dataclasses

from service.offline.report.steps import salient, steps_of
from service.offline.summary.summary_types import Standing


def titles(summary):
    return [step.title for step in steps_of(summary)]


def test_everything_that_was_found_is_something_to_do_in_the_order_in_which_it_pays(summary):
    assert titles(summary) == [
        "Look at the 60 discoveries first",
        "Ask who filled 1 folder",
        "Compare 1 group of flagged images whose paths look alike",
        "Settle 1 set of identical images with different labels",
        "Check the labels of 100 images",
        "Treat 1 undecided image as flagged",
        "Find out about 10 unreadable files",
    ]


def test_where_nothing_was_found_it_is_said_that_this_proves_nothing(nothing_flagged):
    (step,) = steps_of(nothing_flagged)
    assert step.title == "Nothing" and "no proof" in step.text


def test_where_nothing_could_be_read_the_reason_is_told_without_its_advice(nothing_read):
    (step,) = steps_of(nothing_read)
    assert step.title == "Find out about 4 unreadable files"
    assert step.text.endswith("The commonest reason: the file is empty.")


def test_flagged_images_without_discoveries_are_called_false_alarms_only_where_chance_gives_as_many(summary):
    none = dataclasses.replace(summary, discoveries=dataclasses.replace(summary.discoveries, n=0))
    within = dataclasses.replace(none, comparison=dataclasses.replace(none.comparison, standing=Standing.WITHIN))
    assert titles(none)[0] == titles(within)[0] == "Look at the strongest of 120 flagged images"
    assert "expect false alarms" in steps_of(within)[0].text
    assert "more of them than clean images would give" in steps_of(none)[0].text


def test_a_folder_is_named_only_if_it_is_not_the_whole_source(summary):
    only = dataclasses.replace(summary.by_folder, n=1, top=summary.by_folder.top[:1])
    assert not any("folder" in title for title in titles(dataclasses.replace(summary, by_folder=only)))
    assert "a (100 of 500)" in steps_of(summary)[1].text


def test_no_step_takes_for_an_attack_what_natural_images_give_as_well(summary):
    discoveries, folders, clusters = (step.text for step in steps_of(summary)[:3])
    assert "not counting clean images that the classifier gets wrong" in discoveries
    assert "without an attack, where a folder holds what is hard for the classifier" in folders
    assert "so do false alarms" in clusters


def test_groups_stand_out_by_their_corrected_p_value(summary):
    assert [group.name for group in salient(summary.by_folder, 0.1)] == ["a"]
    unknown = dataclasses.replace(summary.by_folder.top[0], excess_q_value=None)
    assert salient(dataclasses.replace(summary.by_folder, top=(unknown,)), 0.1) == []


def test_a_group_that_is_aimed_at_a_label_is_described_by_it(summary):
    (cluster,) = summary.clusters.clusters
    assert "most often named “three”, suspected “eight”" in steps_of(summary)[2].text
    aimed = dataclasses.replace(summary.clusters, clusters=(dataclasses.replace(cluster, aimed_at="three"),))
    assert "as if aimed at" in steps_of(dataclasses.replace(summary, clusters=aimed))[2].text


def test_every_step_leads_to_a_section(summary, nothing_flagged, nothing_read):
    anchors = {step.anchor for found in (summary, nothing_flagged, nothing_read) for step in steps_of(found)}
    assert anchors == {"ranked", "folders", "clusters", "duplicates", "labels", "unreadable", "share"}
