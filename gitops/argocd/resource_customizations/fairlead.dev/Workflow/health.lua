-- A Workflow is one run. Its conditions conform to kstatus; this says the same in Argo CD's words, and tells apart what
-- is suspended. Of a hook, Healthy has succeeded and Degraded has failed; whatever else it says, the hook goes on.
local health = { status = "Progressing", message = "Waiting for the operator" }

if obj.metadata.deletionTimestamp ~= nil then
  health.message = "Pending deletion"
  return health
end

local status = obj.status or {}
if status.observedGeneration ~= obj.metadata.generation then
  return health
end

local is, message = {}, {}
for _, condition in ipairs(status.conditions or {}) do
  is[condition.type] = condition.status
  message[condition.type] = condition.message
end

if is.Succeeded == "True" then
  return { status = "Healthy", message = message.Succeeded }
elseif is.Succeeded == "False" then
  return { status = "Degraded", message = message.Succeeded }
elseif is.Stalled == "True" and is.Reconciling ~= "True" then
  return { status = "Degraded", message = message.Stalled }
elseif is.Suspended == "True" then
  return { status = "Suspended", message = message.Succeeded }
end

health.message = message.Succeeded
if is.Stalled == "True" then
  health.message = message.Stalled
end
return health
