-- A WorkflowTemplate is healthy when runs of it can start. Its conditions conform to kstatus.
if obj.metadata.deletionTimestamp ~= nil then
  return { status = "Progressing", message = "Pending deletion" }
end

local status = obj.status or {}
if status.observedGeneration == obj.metadata.generation then
  for _, condition in ipairs(status.conditions or {}) do
    if condition.type == "Valid" and condition.status == "True" then
      return { status = "Healthy", message = condition.message }
    elseif condition.type == "Valid" and condition.status == "False" then
      return { status = "Degraded", message = condition.message }
    end
  end
end

return { status = "Progressing", message = "Waiting for the operator" }
