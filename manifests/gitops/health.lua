-- Health of a RepositoryServer in Argo CD. docs/reference.md has the table of what becomes of each
-- reason; a test runs this over every row of it.
local health = { status = "Progressing", message = "Waiting for the controller" }

if obj.metadata.deletionTimestamp ~= nil then
  health.message = "Being deleted"
  return health
end
if obj.status == nil or obj.status.conditions == nil then
  return health
end
if obj.status.observedGeneration ~= obj.metadata.generation then
  health.message = "Waiting for the controller to see the change"
  return health
end

local found = {}
for _, condition in ipairs(obj.status.conditions) do
  found[condition.type] = condition
end
local function is_true(name)
  return found[name] ~= nil and found[name].status == "True"
end

if found.Ready ~= nil then
  health.message = found.Ready.message
end
-- A change that has failed counts although clients can still connect: nobody else would say so.
if is_true("Stalled") then
  health.status = "Degraded"
elseif is_true("Ready") and not is_true("Reconciling") then
  health.status = "Healthy"
end
return health
