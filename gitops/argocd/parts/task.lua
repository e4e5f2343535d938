-- A parameter of the action; a field that was left empty in the user interface counts as not given.
local function given(name)
  local value = (actionParams or {})[name]
  if value == "" then
    return nil
  end
  return value
end

-- The task that was named; else the only one that waits for approval.
local function waiting()
  local found, more = given("task"), false
  if found == nil then
    for _, task in ipairs((obj.status or {}).tasks or {}) do
      if task.reason == "WaitingForApproval" then
        more = found ~= nil
        found = found or task.name
      end
    end
  end
  if found == nil then
    error("no task that waits for approval is listed: name it in the parameter task", 0)
  elseif more then
    error("several tasks wait for approval: name one in the parameter task", 0)
  end
  return found
end
