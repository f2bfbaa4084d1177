// Package crds names what the definition of a ServiceMonitor is generated from: the Prometheus
// Operator's own types and the generator that its makers use.
package crds

import (
	_ "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
)
