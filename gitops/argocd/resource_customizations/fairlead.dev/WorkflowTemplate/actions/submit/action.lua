-- Creates a Workflow that runs the template, with the values that were given. It belongs to the template, so that it
-- appears below it, and is not pruned; it is deleted with the template.
local function typed(param, text)
  if param.type == "integer" or param.type == "number" then
    local number = tonumber(text)
    if number == nil then
      error("the parameter " .. param.name .. " must be a number, not " .. text, 0)
    end
    return number
  elseif param.type == "boolean" then
    if text ~= "true" and text ~= "false" then
      error("the parameter " .. param.name .. " must be true or false, not " .. text, 0)
    end
    return text == "true"
  end
  return text
end

local given = actionParams or {}
local arguments = {}
for _, param in ipairs(obj.spec.params or {}) do
  local text = given[param.name]
  if text ~= nil and text ~= "" and param.type ~= "array" and param.type ~= "object" then
    arguments[#arguments + 1] = { name = param.name, value = typed(param, text) }
  end
end

local workflow = {
  apiVersion = obj.apiVersion,
  kind = "Workflow",
  metadata = {
    generateName = obj.metadata.name .. "-",
    namespace = obj.metadata.namespace,
    ownerReferences = {
      { apiVersion = obj.apiVersion, kind = obj.kind, name = obj.metadata.name, uid = obj.metadata.uid }
    }
  },
  spec = { templateRef = { name = obj.metadata.name } }
}
if #arguments > 0 then
  workflow.spec.arguments = arguments
end

return { { operation = "create", resource = workflow } }
