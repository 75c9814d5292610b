"""The rows of the fault table: what is promised, and the tests or measurements that hold it."""

from dataclasses import dataclass

_INPUTS, _LIFE = "test/ros/test_node_inputs.py", "test/ros/test_node_lifecycle.py"
_SERVICES, _EDITS = "test/ros/test_node_services.py", "test/ros/test_node_edits.py"
_STORAGE, _CRASHES = "test/test_map_storage.py", "test/test_map_crashes.py"
_CHECKPOINT, _BAGS = "test/test_segmenter_checkpoint.py", "test/test_rosbag.py"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One promise."""

    number: str
    figure: str
    target: str
    tests: tuple[str, ...] = ()
    """Tests that hold it, as pytest names them; their number is the figure."""
    not_measured: str = ""
    """Why there is no figure."""


ROWS = (
    Row(number="A1", figure="drops at 1x, 2x, 4x of 10 frames/s", target="0 unexplained; 1x <= 1 %"),
    Row(number="A2", figure="frame age under 4x", target="p99 <= 2 x p99 at 1x"),
    Row(number="A3", figure="query times", target="p99 < 50 ms"),
    Row(number="A4", figure="service flood", target="all answered; < 10 % of the frames lost to it"),
    Row(number="A5", figure="time to first object", target="< 15 s"),
    Row(number="B1", figure="camera off 1, 10 s", target="told within 1 s of the limit; back <= 2 s; ids kept"),
    Row(number="B2", figure="28 faults: 7 words, 4 streams", target="0 crashes, 0 ghosts"),
    Row(
        number="B3",
        figure="one of two cameras lost",
        target="the other goes on; WARN",
        tests=(f"{_INPUTS}::test_of_two_cameras_the_other_goes_on_when_one_is_lost",),
    ),
    Row(
        number="B4",
        figure="driver restarts with another size",
        target="adopted or refused",
        tests=(
            f"{_INPUTS}::test_a_restarted_driver_with_another_resolution_is_adopted",
            "test/ros/test_inputs_pipeline.py::test_a_new_resolution_is_taken_from_its_stamp_on",
        ),
    ),
    Row(
        number="C1",
        figure="NaN, Inf, 0, negative, 1e30, denormal depth",
        target="nothing non-finite comes out",
        tests=(
            f"{_INPUTS}::test_depth_full_of_garbage_numbers_maps_no_such_numbers",
            "test/test_checks.py",
            "test/ros/test_outputs_messages.py",
        ),
    ),
    Row(
        number="C2, C3",
        figure="sizes, steps, encodings, data that end early; bad or no CameraInfo",
        target="refused with the reason; 0 crashes",
        tests=(
            f"{_INPUTS}::test_bad_messages_are_counted_under_their_reason_and_good_ones_go_on",
            f"{_INPUTS}::test_nothing_is_mapped_before_pose_and_calibration_are_there",
            "test/ros/test_inputs_pipeline.py::test_a_bad_image_is_refused_when_it_is_loaded",
            "test/ros/test_inputs_pipeline.py::test_bytes_that_are_no_message_are_counted",
            "test/ros/test_fuzzed_messages.py",
        ),
    ),
    Row(
        number="D1",
        figure="clock jumps, a bag that starts over",
        target="map kept or reset; no exception",
        tests=(
            f"{_INPUTS}::test_a_bag_that_starts_over_keeps_or_resets_the_map",
            "test/ros/test_inputs_pipeline.py::test_time_that_jumps_back_is_told_once_and_everything_starts_over",
        ),
    ),
    Row(
        number="D2",
        figure="stamps out of order, twice, skewed",
        target="same result, or counted",
        tests=("test/ros/test_inputs_matching.py",),
    ),
    Row(number="D3", figure="no transforms for 0.1, 1, 5 s", target="wait, then no_pose; ids kept"),
    Row(
        number="D4",
        figure="poses of keyframes corrected after a loop",
        target="all follow; ids and edits kept; nothing twice",
        tests=("test/test_loop_closure.py", "test/ros/test_node_loop_closure.py"),
    ),
    Row(
        number="D6",
        figure="images before clock, pose, calibration",
        target="0 objects",
        tests=(
            f"{_INPUTS}::test_nothing_is_mapped_before_the_clock_runs",
            f"{_INPUTS}::test_nothing_is_mapped_before_pose_and_calibration_are_there",
        ),
    ),
    Row(
        number="D7",
        figure="a map of another id, frame or origin",
        target="refused or moved, never silently",
        tests=("test/ros/test_map_keeper.py",),
    ),
    Row(
        number="E1",
        figure="cut, flipped, empty, huge, wrong map and checkpoint files",
        target="0 crashes, 0 partial loads",
        tests=(_STORAGE, _CHECKPOINT, "test/test_fuzzed_files.py"),
    ),
    Row(
        number="E2",
        figure="pickles in place of files",
        target="0 lines of code run",
        tests=(
            f"{_STORAGE}::test_a_pickle_in_place_of_a_file_runs_nothing",
            f"{_CHECKPOINT}::test_other_files_are_no_checkpoint",
            "test/test_sam.py::test_checkpoint_with_code_is_refused_and_not_run",
            "test/test_layering.py::test_no_file_that_is_read_can_run_code",
        ),
    ),
    Row(number="E3", figure="cut and damaged bags", target="read up to there, or refused", tests=(_BAGS,)),
    Row(number="E4", figure="100 times kill -9 during a save, full disk", target="old or new map", tests=(_CRASHES,)),
    Row(
        number="E5",
        figure="names, links, pipes and devices in place of a map's folder",
        target="nothing outside the map directory",
        tests=(
            "test/ros/test_map_directory.py",
            f"{_SERVICES}::test_names_that_lead_out_of_the_map_directory_are_refused",
            f"{_SERVICES}::test_a_map_that_is_a_link_out_of_the_directory_is_refused",
        ),
    ),
    Row(
        number="E6",
        figure="saved and loaded again; a map of version 1",
        target="the same map",
        tests=(
            f"{_STORAGE}::test_a_map_comes_back_as_it_was_saved",
            f"{_STORAGE}::test_a_memory_comes_back_as_it_was_saved",
            f"{_STORAGE}::test_a_map_of_version_1_can_be_asked_but_not_mapped_on",
            f"{_SERVICES}::test_a_saved_map_comes_back_with_the_same_ids",
        ),
    ),
    Row(
        number="F1, F2",
        figure="hostile texts and numbers, in every state",
        target="answered or refused",
        tests=(
            f"{_SERVICES}::test_any_text_is_answered_or_refused_soon",
            f"{_SERVICES}::test_the_number_of_answers_is_bounded",
            f"{_LIFE}::test_services_answer_in_every_state",
            "test/test_fuzzed_requests.py",
        ),
    ),
    Row(number="F3", figure="edits on missing, merged, moving ids", target="redirected or refused", tests=(_EDITS,)),
    Row(
        number="G5",
        figure="up and down again and again",
        target="no failure, nothing left behind",
        tests=(f"{_LIFE}::test_cycles_leave_nothing_behind",),
    ),
    Row(
        number="G6",
        figure="kill -9 of a launched node",
        target="active again by itself",
        tests=("test/ros/test_launch_perception.py::test_perception_comes_up_by_itself_and_again_after_a_crash",),
    ),
    Row(
        number="G7",
        figure="SIGTERM, SIGINT",
        target="ends at once, code 0",
        tests=(
            f"{_LIFE}::test_it_ends_at_once_when_told_to_while_it_maps",
            f"{_LIFE}::test_it_ends_at_once_before_it_is_configured",
        ),
    ),
    Row(number="G1", figure="soak", target="< 5 MB/h", not_measured="hours: test/ros/bench_soak.py"),
)
