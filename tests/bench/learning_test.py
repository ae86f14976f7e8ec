"""What the tables of learning.py say of runs made by hand: python3 tests/bench/learning_test.py"""
import contextlib, io, json, sys, tempfile, unittest
from pathlib import Path
from unittest import mock

sys.dont_write_bytecode = True
import learning, peer_tasks


def run(train, penalty, fisher, gap=None):
    """Two updates that take so long each."""
    update = {"train_s": train + 1.0, "penalty_s": penalty, "kept_bytes": 1024, "memory_examples": 5,
              "phase_s": {"train": train, "fisher": fisher, "teach": 2.0, "statistics": 1.0, "predict_champion": 3.0, "candidates": 4.0}}
    return {"matrix": [[0.5, None], [0.4, 0.8]], "updates": [dict(update), dict(update)], "negative_flips": 0.1, "wall_s": 9.0, "peak_memory_bytes": 2**20,
            "scores": {"forgetting": 0.1, "backward_transfer": -0.1}, "stability_gap": gap, "worst_case_accuracy": gap and 0.3}


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


class Tables(unittest.TestCase):
    def test_ewc_is_told_of_the_training_without_it_and_beside_the_same_run_without(self):
        results = {"wengu": [run(110.0, 10.0, 5.0)], "wengu (no EWC)": [run(96.0, 0.0, 0.0)], "avalanche-ewc": [None]}
        head, _, ours, without = map(cells, learning.costs(results))
        of = dict(zip(head, ours))
        self.assertEqual((of["training s"], of["EWC: penalty s"], of["EWC: Fisher s"]), ("220.0", "20.0", "10.0"))
        self.assertEqual(of["EWC % of the training"], "15.0")
        self.assertEqual(of["more than without EWC %"], f"{100 * (115 / 96 - 1):.1f}")
        self.assertEqual((of["teacher s"], of["discriminant s"], of["answering s"]), ("4.0", "2.0", "6.0"))
        self.assertEqual(of["logits for the memory s"], "8.0")
        self.assertEqual(dict(zip(head, without))["EWC % of the training"], "0.0")
        self.assertEqual(dict(zip(head, without))["more than without EWC %"], "–")

    def test_runs_of_before_and_of_peers_have_no_costs(self):
        old = run(1.0, 0.0, 0.0)
        for update in old["updates"]:
            del update["phase_s"]
        self.assertEqual(learning.costs({"wengu": [old], "naive": [None]}), [])

    def test_updates_are_told_beside_what_is_trained_anew_at_each_and_beside_a_peer(self):
        joint, ours, at_end = run(10.0, 0.0, 0.0), run(5.0, 0.0, 1.0), run(7.0, 0.0, 0.0)
        joint["updates"] = [{"train_s": s} for s in (10.0, 20.0)]
        at_end["updates"] = at_end["updates"][:1]
        for other in "joint at each delivery", "avalanche-der":
            results = {"wengu": [ours], "joint (all data)": [at_end], other: [joint]}
            lines = [cells(line) for line in learning.by_update(results)]
            self.assertEqual(lines[0], ["seconds of update", "wengu", other])
            self.assertEqual(lines[2:], [["1", "13.0", "10.0"], ["2", "13.0", "20.0"]])
        self.assertEqual(learning.by_update({"wengu": [ours]}), [])

    def test_the_gap_is_told_where_it_was_measured(self):
        head, _, first, second = map(cells, learning.table({"wengu": [run(1, 0, 0, 0.25)], "naive": [run(1, 0, 0)]}, 0.09))
        self.assertEqual(head[-2:], ["stability gap points", "worst-case accuracy %"])
        self.assertEqual((first[-2:], second[-2:]), (["25.0", "30.0"], ["–", "–"]))
        self.assertNotIn("stability gap points", learning.table({"naive": [run(1, 0, 0)]}, 0.09)[0])

    def test_the_way_closed_is_that_between_runs_of_the_same_order_and_seed(self):
        of = lambda score: dict(run(1, 0, 0), matrix=[[score]])
        results = {"naive": [of(0.2), of(0.4), None], "joint (all data)": [of(0.6), of(0.8), of(0.9)], "wengu": [of(0.5), of(0.8), of(0.7)]}
        rows = {cells(line)[0]: cells(line) for line in learning.table(results, 0.09)[2:]}
        # 75 and 100 %; the third has no naive run beside it.
        self.assertEqual(rows["wengu"][2:5], ["3", "66.7 ± 15.3", "87.5 ± 17.7"])
        self.assertEqual(rows["naive"][4], "0.0 ± 0.0")

    def test_too_little_of_the_gap_and_none_measured_fail(self):
        of = lambda score: dict(run(1, 0, 0), matrix=[[score]])
        results = {"naive": of(0.2), "joint (all data)": of(0.6), "wengu": of(0.5)}
        for least, missing, told in [("75", None, None), ("76", None, "closes 75.0 %"), ("1", "naive", "no run")]:
            given = lambda _args, _stream, _order, _seed, method, _memory: results[method] if method != missing else None
            with tempfile.TemporaryDirectory() as out, contextlib.redirect_stdout(io.StringIO()), mock.patch.multiple(
                    learning, run=given), mock.patch.object(learning.streams, "make", return_value={"deliveries": []}), mock.patch.object(
                    sys, "argv", ["learning.py", "data", "model", "bench", "trainer", "python", out, "--quick",
                                  "--methods", "naive,joint (all data),wengu", "--at-least", least]):
                if told is None:
                    learning.main()
                else:
                    with self.assertRaisesRegex(SystemExit, told):
                        learning.main()

    def test_runs_that_a_file_keeps_are_not_run_again_and_new_ones_are_added(self):
        with tempfile.TemporaryDirectory() as folder:
            kept, trainer = Path(folder) / "runs.jsonl", Path(folder) / "trainer"
            trainer.write_bytes(b"abc")
            made = []
            anew = lambda _args, name, *_: made.append(name) or run(1, 0, 0)
            for methods in ["naive", "naive,wengu"]:
                with contextlib.redirect_stdout(io.StringIO()), mock.patch.multiple(learning, run_anew=anew), mock.patch.object(
                        learning.streams, "make", return_value={"deliveries": []}), mock.patch.object(
                        sys, "argv", ["learning.py", "data", "model", "bench", str(trainer), "python", folder, "--quick", "--methods", methods,
                                      "--runs", str(kept), "--machine", "a machine"]):
                    learning.main()
            self.assertEqual(made, ["quick-clause-types-0-naive-0.09-1", "quick-clause-types-0-wengu-0.09-1"])
            lines = [json.loads(line) for line in kept.read_text().splitlines()]
            self.assertEqual([line["name"] for line in lines], made)
            self.assertEqual((lines[1]["machine"], lines[1]["run"]), ("a machine", run(1, 0, 0)))
            self.assertEqual(lines[1]["trainer_sha256"], "ba7816bf8f01")

    def test_a_peers_tags_are_read_as_spans(self):
        stream = {"max_length": 9, "deliveries": [{"train": [{"label": '[[0,1,"Drug"]]'}, {"label": '[[2,3,"Disease"]]'}]}]}
        task = peer_tasks.Spans("", stream)
        self.assertEqual(task.names, ["O", "B-Disease", "I-Disease", "B-Drug", "I-Drug"])
        # The first and the last stand for no character of the text.
        offsets = [(0, 0), (0, 2), (2, 4), (5, 7), (8, 9), (9, 12), (13, 15), (0, 0)]
        said = [task.names.index(name) for name in ["B-Drug", "B-Drug", "I-Drug", "I-Disease", "B-Disease", "I-Drug", "O", "I-Drug"]]
        self.assertEqual(task.spans(said, offsets), {(0, 4, "Drug"), (5, 7, "Disease"), (8, 9, "Disease"), (9, 12, "Drug")})

    def test_an_update_takes_all_that_keeps_and_a_peers_all_that_it_tells(self):
        # Training, Fisher, teacher, statistics and candidates.
        update = run(10.0, 1.0, 5.0)["updates"][0]
        self.assertEqual(learning.whole_seconds(update), 22.0)
        del update["phase_s"]
        self.assertEqual(learning.whole_seconds(update), 11.0)

    def test_what_is_watched_is_set_apart_once(self):
        self.assertEqual(learning.watched("", 5), "validation_percent = 10\nstability_steps = 5\n")
        self.assertEqual(learning.watched("validation_percent = 20\n", 5).count("validation_percent"), 1)

    def test_a_part_of_the_page_is_replaced_and_the_others_stay(self):
        small, whole = "## long, small stream\n\nold\n", "## drift, whole stream\n\n### memory\n\nwhole\n"
        both = learning.page(learning.page("", "long, small stream", small), "drift, whole stream", whole)
        self.assertEqual(both, "\n".join([learning.HEAD, whole, small]))
        self.assertEqual(learning.page(both, "long, small stream", small.replace("old", "new")), both.replace("old\n", "new\n"))


if __name__ == "__main__":
    unittest.main()
