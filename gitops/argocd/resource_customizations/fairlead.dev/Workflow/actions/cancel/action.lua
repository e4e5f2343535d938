-- Generated from gitops/argocd/parts by `make gen`; do not edit.
-- Argo CD's account in the cluster of the Workflow, which is who asks: the admission policy checks it. This is the one
-- of a default installation. For another cluster than Argo CD's own it is often
-- system:serviceaccount:kube-system:argocd-manager; `kubectl auth whoami` with Argo CD's credentials tells.
local account = "system:serviceaccount:argocd:argocd-server"

-- A request on this run, by name and UID: it never meets another run of the same name. It is deleted with the run.
local function request(action, fields)
  fields.workflowName = obj.metadata.name
  fields.workflowUID = obj.metadata.uid
  fields.action = action
  fields.requestedBy = { username = account }
  fields.reason = "asked for in Argo CD"
  local asked = {
    apiVersion = obj.apiVersion,
    kind = "WorkflowAction",
    metadata = {
      generateName = obj.metadata.name .. "-",
      namespace = obj.metadata.namespace,
      ownerReferences = {
        { apiVersion = obj.apiVersion, kind = obj.kind, name = obj.metadata.name, uid = obj.metadata.uid }
      }
    },
    spec = fields
  }
  return { { operation = "create", resource = asked } }
end

return request("Stop", { mode = "Cancel" })
