/// Every place there is, in the order in which a case file's way reaches them: `ROOM.WHAT_HAS_JUST_BEEN_DONE`, or `before_` what
/// comes next. That each is in the code, and is reached, have tests (`tests/places.rs` here, and the sweep).
pub const POINTS: &[&str] = &[
    // store: the journal's one thread, and objects.
    "store.before_append",
    "store.appended",
    "store.synced",
    "store.indexed",
    "object.written",
    "object.named",
    // split: the shares of a domain, fixed when it is first seen.
    "split.before_commit",
    "split.fixed",
    // ingest: a settled file becomes an object and a record.
    "ingest.opened",
    "ingest.copied",
    "ingest.recorded",
    // label: a file's records, their labels and sides become pooled examples.
    "label.read",
    "label.answered",
    "label.stored",
    "label.recorded",
    // plan: what a run is made of.
    "plan.made",
    "plan.stored",
    "plan.recorded",
    // prepare: the job directory.
    "prepare.data_written",
    "prepare.before_job",
    "prepare.ready",
    // train: the trainer's process.
    "train.loaded",
    "train.step",
    "train.answered",
    "train.written",
    "train.before_result",
    "train.result",
    // checkpoint: the trainer's, of its loop.
    "checkpoint.written",
    "checkpoint.named",
    "checkpoint.old_removed",
    // gate: a finished job is judged.
    "gate.before",
    "gate.judged",
    "gate.scored",
    // adopt: the version directory.
    "adopt.begun",
    "adopt.copied",
    "adopt.remembered",
    "adopt.before_rename",
    "adopt.renamed",
    // promote: the verdict's transaction, and the link that follows it.
    "promote.before_commit",
    "promote.recorded",
    "promote.linked",
    // settle: the files' records follow the verdict, and the run is closed.
    "settle.files",
    "settle.recorded",
    "settle.closed",
    "settle.cleared",
    // outbox: an event on its way to an endpoint.
    "outbox.before_send",
    "outbox.sent",
    "outbox.settled",
    // rollback: another version is put in service.
    "rollback.verified",
    "rollback.recorded",
    "rollback.linked",
    "rollback.aligned",
    // install: a plugin's package, by the command line.
    "install.staged",
    "install.placed",
    "install.locked",
    // tune: a fitting, from what was asked to what later runs use.
    "tune.begun",
    "tune.asked",
    "tune.adopted",
    "tune.first_written",
    "tune.kept",
    "tune.shown",
    "tune.trial_cleared",
    "tune.before_end",
    "tune.ended",
    "tune.cleared",
    // forget: an order, until its receipt is signed and nothing says any more what it was about.
    "forget.ordered",
    "forget.marked",
    "forget.asked",
    "forget.planned",
    "forget.begun",
    "forget.pooled",
    "forget.source_deleted",
    "forget.redacted",
    "forget.objects_removed",
    "forget.erased",
    "forget.run_planned",
    "forget.retrained",
    "forget.versions_left",
    "forget.versions_removed",
    "forget.done",
    "forget.public_key_written",
    "forget.receipt_written",
    "forget.receipt_signed",
    "forget.order_removed",
    // redact: taking it out of the journal, and the index that is built anew.
    "redact.declared",
    "redact.replaced",
    "redact.index_removed",
    "redact.indexed",
];
