"""What `helm test` runs in a pod: a workflow of two tasks, of which the second reads what the first has found out."""

import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.request

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
HOST = os.environ["KUBERNETES_SERVICE_HOST"]
SERVER = f"https://{f'[{HOST}]' if ':' in HOST else HOST}:{os.environ['KUBERNETES_SERVICE_PORT']}"
WORKFLOWS = f"{SERVER}/apis/fairlead.dev/v1alpha1/namespaces/{os.environ['NAMESPACE']}/workflows"
SECONDS = 240

PYTHON = "/opt/fairlead/bin/python"
FIRST = "import json, os; json.dump({'answer': 42}, open(os.environ['FAIRLEAD_OUTPUTS'], 'w'))"
SECOND = "import sys; sys.exit(sys.argv[1] != '42')"


def task(name, code, **more):
    arguments = ["-c", code, *more.pop("arguments", [])]
    container = {
        "image": os.environ["IMAGE"],
        "imagePullPolicy": os.environ["PULL_POLICY"],
        "command": [PYTHON],
        "args": arguments,
        "resources": {"requests": {"cpu": "50m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    return {"name": name, "container": container, **more}


WORKFLOW = {
    "apiVersion": "fairlead.dev/v1alpha1",
    "kind": "Workflow",
    "metadata": {"generateName": "helm-test-"},
    "spec": {
        "deadlineSeconds": SECONDS,
        "ttlSecondsAfterFinished": 600,
        "taskDefaults": {
            "pod": {
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": 65532,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "imagePullSecrets": json.loads(os.environ["PULL_SECRETS"]),
            }
        },
        "tasks": [
            task("first", FIRST, outputs=[{"name": "answer", "type": "integer"}]),
            task("second", SECOND, arguments=["${tasks.first.outputs.answer}"], needs=["first"]),
        ],
    },
}
TLS = ssl.create_default_context(cafile=f"{ACCOUNT}/ca.crt")


def ask(method, url, body=None):
    with open(f"{ACCOUNT}/token", encoding="utf-8") as token:
        headers = {"Authorization": f"Bearer {token.read()}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30, context=TLS) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        sys.exit(f"{method} {url}: {error.code}: {error.read().decode()}")


name = ask("POST", WORKFLOWS, WORKFLOW)["metadata"]["name"]
print(f"{name} has been created", flush=True)
deadline = time.monotonic() + SECONDS + 30
while True:
    status = ask("GET", f"{WORKFLOWS}/{name}").get("status", {})
    if "completionTime" in status or time.monotonic() > deadline:
        break
    time.sleep(1)
print(f"{name}: {status.get('phase', 'no operator has taken it up')}: {status.get('message', '')}", flush=True)
if status.get("phase") != "Succeeded":
    sys.exit(1)  # it stays, for whoever looks for the reason; its time to live removes it
ask("DELETE", f"{WORKFLOWS}/{name}")
