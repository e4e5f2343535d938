-- A WorkflowAction is a request on a run: healthy once it has been carried out. Its conditions conform to kstatus.
if obj.metadata.deletionTimestamp ~= nil then
  return { status = "Progressing", message = "Pending deletion" }
end

for _, condition in ipairs((obj.status or {}).conditions or {}) do
  if condition.type == "Accepted" and condition.status == "True" then
    return { status = "Healthy", message = condition.message }
  elseif condition.type == "Accepted" and condition.status == "False" then
    return { status = "Degraded", message = condition.message }
  end
end

return { status = "Progressing", message = "Waiting for the operator" }
