// Everything: include this, or the headers of the folders that you need.
//
//   #include "espalier/espalier.h"
//   namespace es = espalier;
#ifndef ESPALIER_ESPALIER_H_
#define ESPALIER_ESPALIER_H_

#include "espalier/graph/cond.h"
#include "espalier/graph/gradients.h"
#include "espalier/graph/graph.h"
#include "espalier/graph/graph_def.h"
#include "espalier/graph/scan.h"
#include "espalier/graph/scope.h"
#include "espalier/graph/status_macros.h"
#include "espalier/graph/tensor_array.h"
#include "espalier/graph/variable.h"
#include "espalier/graph/while_loop.h"
#include "espalier/layers/layers.h"
#include "espalier/layers/nn.h"
#include "espalier/ops/ops.h"
#include "espalier/runtime/session.h"
#include "espalier/runtime/specialize.h"
#include "espalier/train/clip.h"
#include "espalier/train/learning_rate.h"
#include "espalier/train/metrics.h"
#include "espalier/train/mnist.h"
#include "espalier/train/moving_average.h"
#include "espalier/train/optimizer.h"
#include "espalier/train/optimizers.h"
#include "espalier/train/regularizers.h"

#endif  // ESPALIER_ESPALIER_H_
