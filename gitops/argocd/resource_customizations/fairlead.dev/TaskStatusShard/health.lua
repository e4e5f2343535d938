-- A TaskStatusShard is a part of the record of a large run. It has no conditions, as there is nothing that it strives
-- for: it is well as it is, also where it tells of tasks that have failed. How the run fares says the Workflow.
if obj.metadata.deletionTimestamp ~= nil then
  return { status = "Progressing", message = "Pending deletion" }
end

return { status = "Healthy", message = #(obj.tasks or {}) .. " tasks and items are recorded here" }
