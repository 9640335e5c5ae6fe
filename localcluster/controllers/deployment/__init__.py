"""The Deployment controller: rollouts of pod templates by ReplicaSets of which one is the newest."""
