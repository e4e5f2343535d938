-- A run of the template, with values for its parameters. Lists and objects cannot be given here: where one of those has
-- no default, it takes a manifest.
local disabled = obj.metadata.deletionTimestamp ~= nil
for _, condition in ipairs((obj.status or {}).conditions or {}) do
  disabled = disabled or (condition.type == "Valid" and condition.status == "False")
end

local params = {}
for _, param in ipairs(obj.spec.params or {}) do
  if param.type ~= "array" and param.type ~= "object" then
    params[#params + 1] = { ["name"] = param.name }
  elseif param.default == nil then
    disabled = true
  end
end

local actions = {}
actions["submit"] = {
  ["disabled"] = disabled,
  ["iconClass"] = "fa fa-fw fa-plus",
  ["displayName"] = "Submit a run"
}
if #params > 0 then
  actions["submit"]["params"] = params
end
return actions
