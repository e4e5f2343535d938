# The dev cluster: a real Kubernetes on this machine (docs/devcluster.md). Included by the Makefile at the top.
#   make cluster-up KWOK_NODES=1                          simulated nodes as well
#   make cluster-up CLUSTER_KUBECONFIG=path [CLUSTER_CONTEXT=name]   use a cluster you have
KWOK_NODES ?= 0
DEVCLUSTER ?= $(or $(PYTHON),python3) -m e2e.devcluster
export CLUSTER_KUBECONFIG CLUSTER_CONTEXT

.PHONY: cluster cluster-up cluster-down cluster-status cluster-env
cluster:
	@$(DEVCLUSTER) up --kwok-nodes $(KWOK_NODES)

cluster-up: $(READY) cluster ## Start the dev cluster, and the operator beside it (KWOK_NODES=N: simulated nodes, too)
	@$(DEVCLUSTER) images python
	@$(BIN)/python -m e2e.dev_operator start

cluster-down: ## Stop the dev cluster and clear the machine of it
	@$(or $(PYTHON),python3) -m e2e.dev_operator stop
	@$(DEVCLUSTER) down

cluster-status: ## Say what of the dev cluster runs, and where its files are
	@$(DEVCLUSTER) status
	@$(or $(PYTHON),python3) -m e2e.dev_operator status

cluster-env: ## Print KUBECONFIG and PATH: eval "$(make -s cluster-env)"
	@$(DEVCLUSTER) env
