-- What may be asked of a run as it is now. All but suspend and resume create a WorkflowAction, which the operator may
-- still refuse: it says why in the conditions of that.
local status = obj.status or {}
local is = {}
for _, condition in ipairs(status.conditions or {}) do
  is[condition.type] = condition.status
end
local gone = obj.metadata.deletionTimestamp ~= nil
local over = gone or is.Finished == "True"
local suspended = obj.spec.suspend == true
local ended = not gone and is.Finished == "True" and status.startTime ~= nil

-- The tasks of a large run are not listed in its status: whoever approves names the task.
local waiting = status.shards ~= nil
for _, task in ipairs(status.tasks or {}) do
  waiting = waiting or task.reason == "WaitingForApproval"
end

local actions = {}

actions["suspend"] = {
  ["disabled"] = over or suspended,
  ["iconClass"] = "fa fa-fw fa-pause",
  ["displayName"] = "Suspend: start nothing new"
}
actions["resume"] = {
  ["disabled"] = over or not suspended,
  ["iconClass"] = "fa fa-fw fa-play",
  ["displayName"] = "Resume"
}
actions["stop"] = {
  ["disabled"] = over,
  ["iconClass"] = "fa fa-fw fa-stop",
  ["displayName"] = "Stop: let what runs finish"
}
actions["cancel"] = {
  ["disabled"] = over,
  ["iconClass"] = "fa fa-fw fa-ban",
  ["displayName"] = "Cancel: end what runs, then run finally"
}
actions["terminate"] = {
  ["disabled"] = over,
  ["iconClass"] = "fa fa-fw fa-times",
  ["displayName"] = "Terminate: end what runs, without finally"
}
actions["retry"] = {
  ["disabled"] = not ended or is.Succeeded == "True",
  ["iconClass"] = "fa fa-fw fa-redo",
  ["displayName"] = "Retry what failed"
}
actions["clear"] = {
  ["disabled"] = not ended,
  ["iconClass"] = "fa fa-fw fa-undo",
  ["displayName"] = "Clear: run a task again, and what comes after it",
  ["params"] = { { ["name"] = "task" } }
}
actions["approve"] = {
  ["disabled"] = over or not waiting,
  ["iconClass"] = "fa fa-fw fa-thumbs-up",
  ["displayName"] = "Approve",
  ["params"] = { { ["name"] = "task" }, { ["name"] = "option" } }
}
actions["reject"] = {
  ["disabled"] = over or not waiting,
  ["iconClass"] = "fa fa-fw fa-thumbs-down",
  ["displayName"] = "Reject",
  ["params"] = { { ["name"] = "task" } }
}

return actions
