//! What Flink 2.3 answered, shortened: names and types are what counts.

/// `/config`.
pub(super) const CONFIG: &str = r#"
{"refresh-interval": 3000, "timezone-name": "Coordinated Universal Time",
 "timezone-offset": 0, "flink-version": "2.3.0",
 "flink-revision": "c0f8d1a @ 2026-06-14T16:29:03+02:00",
 "features": {"web-submit": true, "web-cancel": true, "web-rescale": false, "web-history": false}}"#;

/// `/overview`.
pub(super) const OVERVIEW: &str = r#"
{"taskmanagers": 1, "slots-total": 4, "slots-available": 2, "jobs-running": 1,
 "jobs-finished": 0, "jobs-cancelled": 0, "jobs-failed": 0, "flink-version": "2.3.0",
 "flink-commit": "c0f8d1a"}"#;

/// `/jobs`.
pub(super) const JOBS: &str = r#"
{"jobs": [{"id": "06bab662588d118b49a26d7498239d7b", "status": "RUNNING"}]}"#;

/// `/jobs/overview`.
pub(super) const JOBS_OVERVIEW: &str = r#"
{"jobs": [{"jid": "06bab662588d118b49a26d7498239d7b", "name": "golden-job", "jobType": "STREAMING",
   "schedulerType": "Default", "start-time": 1795179250033, "end-time": -1,
   "duration": 225200, "state": "RUNNING", "last-modification": 1795179291442,
   "tasks": {"running": 4, "canceling": 0, "canceled": 0, "total": 4, "created": 0, "scheduled": 0,
    "deploying": 0, "reconciling": 0, "finished": 0, "initializing": 0, "failed": 0},
   "pending-operators": 0}]}"#;

/// `/jobs/:jobid`, with one of its vertices.
pub(super) const JOB: &str = r#"
{"jid": "06bab662588d118b49a26d7498239d7b",
 "application-id": "06bab662588d118b49a26d7498239d7b", "name": "golden-job",
 "isStoppable": false, "state": "RUNNING", "job-type": "STREAMING",
 "schedulerType": "Default", "start-time": 1795179250033, "end-time": -1, "duration": 225423,
 "maxParallelism": -1, "now": 1795179475456,
 "timestamps": {"FINISHED": 0, "RECONCILING": 0, "CANCELED": 0, "INITIALIZING": 1795179250033,
  "SUSPENDED": 0, "CREATED": 1795179263997, "RESTARTING": 0, "RUNNING": 1795179267929,
  "FAILING": 0, "FAILED": 0, "CANCELLING": 0},
 "vertices": [{"id": "f362c87ffabe89c8a91fa7d0a523ba6c",
   "slotSharingGroupId": "743322cd474714f5713aacfe7c4b871f",
   "name": "Source: seq-source -> slow-map -> Timestamps/Watermarks", "maxParallelism": 128,
   "parallelism": 2, "status": "RUNNING", "start-time": 1795179271294, "end-time": -1,
   "duration": 204162,
   "tasks": {"CANCELED": 0, "FAILED": 0, "RECONCILING": 0, "INITIALIZING": 0, "FINISHED": 0,
    "CANCELING": 0, "DEPLOYING": 0, "CREATED": 0, "SCHEDULED": 0, "RUNNING": 2},
   "metrics": {"read-bytes": 0, "read-bytes-complete": true, "write-bytes": 1877650,
    "write-bytes-complete": true, "read-records": 0, "read-records-complete": true,
    "write-records": 88097, "write-records-complete": true,
    "accumulated-backpressured-time": 0, "accumulated-idle-time": 568,
    "accumulated-busy-time": 342690.0}}],
 "status-counts": {"CANCELED": 0, "FAILED": 0, "RECONCILING": 0, "INITIALIZING": 0, "FINISHED": 0,
  "CANCELING": 0, "DEPLOYING": 0, "CREATED": 0, "SCHEDULED": 0, "RUNNING": 2},
 "plan": {"jid": "06bab662588d118b49a26d7498239d7b", "name": "golden-job", "type": "STREAMING",
  "nodes": [{"id": "f3972bd41bae29c99f67c3c4998870ba", "operator": "", "parallelism": 2,
    "operator_strategy": "", "description": "counter<br/>+- discard: Writer<br/>",
    "optimizer_properties": {},
    "inputs": [{"id": "f362c87ffabe89c8a91fa7d0a523ba6c", "num": 0, "exchange": "pipelined_bounded",
      "ship_strategy": "HASH"}]},
   {"id": "f362c87ffabe89c8a91fa7d0a523ba6c", "operator": "", "parallelism": 2,
    "operator_strategy": "",
    "description": "Source: seq-source<br/>+- slow-map<br/>   +- Timestamps/Watermarks<br/>",
    "optimizer_properties": {}}]},
 "pending-operators": 0}"#;

/// `/jobs/:jobid/plan`.
pub(super) const PLAN: &str = r#"
{"plan": {"jid": "06bab662588d118b49a26d7498239d7b", "name": "golden-job", "type": "STREAMING",
  "nodes": [{"id": "f3972bd41bae29c99f67c3c4998870ba", "operator": "", "parallelism": 2,
    "operator_strategy": "", "description": "counter<br/>+- discard: Writer<br/>",
    "optimizer_properties": {},
    "inputs": [{"id": "f362c87ffabe89c8a91fa7d0a523ba6c", "num": 0, "exchange": "pipelined_bounded",
      "ship_strategy": "HASH"}]},
   {"id": "f362c87ffabe89c8a91fa7d0a523ba6c", "operator": "", "parallelism": 2,
    "operator_strategy": "",
    "description": "Source: seq-source<br/>+- slow-map<br/>   +- Timestamps/Watermarks<br/>",
    "optimizer_properties": {}}]}}"#;

/// `/jobs/:jobid/config`.
pub(super) const JOB_CONFIG: &str = r#"
{"jid": "06bab662588d118b49a26d7498239d7b", "name": "golden-job",
 "execution-config": {"restart-strategy": "Restart with fixed delay (PT2S). #5 restart attempts.",
  "job-parallelism": 2, "object-reuse-mode": false, "user-config": {}}}"#;

/// `/jobs/:jobid/checkpoints`, with one completed and one that is under way.
pub(super) const CHECKPOINTS: &str = r#"
{"counts": {"restored": 0, "total": 63, "in_progress": 0, "completed": 62, "failed": 1},
 "summary": {"checkpointed_size": {"min": 7122, "max": 7122, "avg": 7122, "p50": 7122.0, "p90": 7122.0, "p95": 7122.0,
   "p99": 7122.0, "p999": 7122.0},
  "state_size": {"min": 7122, "max": 7122, "avg": 7122, "p50": 7122.0, "p90": 7122.0, "p95": 7122.0,
   "p99": 7122.0, "p999": 7122.0},
  "end_to_end_duration": {"min": 201, "max": 2617, "avg": 741, "p50": 668.5, "p90": 1301.7,
   "p95": 1429.9499999999996, "p99": 2617.0, "p999": 2617.0},
  "alignment_buffered": {"min": 0, "max": 0, "avg": 0, "p50": 0.0, "p90": 0.0, "p95": 0.0, "p99": 0.0, "p999": 0.0},
  "processed_data": {"min": 0, "max": 1601, "avg": 444, "p50": 404.0, "p90": 840.8000000000002,
   "p95": 1198.5999999999995, "p99": 1601.0, "p999": 1601.0},
  "persisted_data": {"min": 0, "max": 0, "avg": 0, "p50": 0.0, "p90": 0.0, "p95": 0.0, "p99": 0.0, "p999": 0.0}},
 "latest": {"completed": {"className": "completed", "id": 62, "status": "COMPLETED", "is_savepoint": false,
   "savepointFormat": null, "trigger_timestamp": 1795179474665,
   "latest_ack_timestamp": 1795179475045, "checkpointed_size": 7122, "state_size": 7122,
   "end_to_end_duration": 380, "alignment_buffered": 0, "processed_data": 567,
   "persisted_data": 0, "num_subtasks": 4, "num_acknowledged_subtasks": 4,
   "checkpoint_type": "CHECKPOINT", "tasks": {},
   "external_path": "file:/data/chk/06bab662588d118b49a26d7498239d7b/chk-62",
   "discarded": false},
  "savepoint": null, "failed": null,
  "restored": {"id": 202, "restore_timestamp": 1795179881576, "is_savepoint": false,
   "external_path": "file:/data/chk/06bab662588d118b49a26d7498239d7b/chk-202"}},
 "history": [{"className": "completed", "id": 62, "status": "COMPLETED", "is_savepoint": false,
   "savepointFormat": null, "trigger_timestamp": 1795179474665,
   "latest_ack_timestamp": 1795179475045, "checkpointed_size": 7122, "state_size": 7122,
   "end_to_end_duration": 380, "alignment_buffered": 0, "processed_data": 567,
   "persisted_data": 0, "num_subtasks": 4, "num_acknowledged_subtasks": 4,
   "checkpoint_type": "CHECKPOINT", "tasks": {},
   "external_path": "file:/data/chk/06bab662588d118b49a26d7498239d7b/chk-62",
   "discarded": false},
  {"className": "in_progress", "id": 209, "status": "IN_PROGRESS", "is_savepoint": false,
   "savepointFormat": null, "trigger_timestamp": 1795179907860,
   "latest_ack_timestamp": 1795179908008, "checkpointed_size": 265, "state_size": 265,
   "end_to_end_duration": 148, "alignment_buffered": 0, "processed_data": 0,
   "persisted_data": 0, "num_subtasks": 4, "num_acknowledged_subtasks": 1,
   "checkpoint_type": "CHECKPOINT", "tasks": {}}]}"#;

/// `/jobs/:jobid/checkpoints/config`.
pub(super) const CHECKPOINT_CONFIG: &str = r#"
{"mode": "exactly_once", "interval": 3000, "timeout": 600000, "min_pause": 0,
 "max_concurrent": 1, "externalization": {"enabled": true, "delete_on_cancellation": false},
 "state_backend": "HashMapStateBackend", "checkpoint_storage": "FileSystemCheckpointStorage",
 "unaligned_checkpoints": false, "tolerable_failed_checkpoints": 0,
 "aligned_checkpoint_timeout": 0, "checkpoints_after_tasks_finish": true,
 "state_changelog_enabled": false, "changelog_periodic_materialization_interval": 600000,
 "changelog_storage": "memory"}"#;

/// `/jobs/:jobid/exceptions`, its stack trace shortened.
pub(super) const EXCEPTIONS: &str = r#"
{"exceptionHistory": {"entries": [{"exceptionName": "java.lang.IllegalStateException",
    "stacktrace": "java.lang.IllegalStateException: golden failure\n\tat …",
    "timestamp": 1795179879075, "failureLabels": {},
    "taskName": "Source: seq-source -> slow-map -> Timestamps/Watermarks (2/2) - execution #0",
    "endpoint": "localhost:41407", "taskManagerId": "localhost:34413-03de8b",
    "concurrentExceptions": []}],
  "truncated": false}}"#;

/// `/jobs/:jobid/checkpoints/details/:id`, with one of its vertices.
pub(super) const DETAILS: &str = r#"
{"className": "completed", "id": 228, "status": "COMPLETED", "is_savepoint": true,
 "savepointFormat": "CANONICAL", "trigger_timestamp": 1795179964522,
 "latest_ack_timestamp": 1795179964926, "checkpointed_size": 5474, "state_size": 5474,
 "end_to_end_duration": 404, "alignment_buffered": 0, "processed_data": 0,
 "persisted_data": 0, "num_subtasks": 4, "num_acknowledged_subtasks": 4,
 "checkpoint_type": "SYNC_SAVEPOINT",
 "tasks": {"f3972bd41bae29c99f67c3c4998870ba": {"id": 228, "status": "COMPLETED", "latest_ack_timestamp": 1795179964926,
   "checkpointed_size": 4944, "state_size": 4944, "end_to_end_duration": 404,
   "alignment_buffered": 0, "processed_data": 0, "persisted_data": 0, "num_subtasks": 2,
   "num_acknowledged_subtasks": 2}},
 "external_path": "file:/data/sp/savepoint-06bab6-d90fe3c2c3a5", "discarded": false}"#;
