// What ops say of themselves so that an affine map of channels can be folded into the linear op
// before it: batch normalisation into a convolution (runtime/specialize.h).
//
//   registry.Add("BiasAdd")….ChannelMap(BiasAddChannelMap)
//   registry.Add("Conv2D")….ScaleWeights(ScaleFilter)
#ifndef ESPALIER_GRAPH_CHANNEL_MAP_H_
#define ESPALIER_GRAPH_CHANNEL_MAP_H_

#include <optional>
#include <vector>

#include "espalier/graph/graph.h"
#include "espalier/graph/status_macros.h"
#include "espalier/graph/tensor.h"

namespace espalier {

// y = x * scale + offset with a number of each for every channel.
struct ChannelMap {
  int input = 0;  // of the node: x
  std::vector<double> scale;
  std::vector<double> offset;
};

// The axis of the channels: 1 when attr data_format is "NCHW", else the last.
int ChannelAxis(const Node& node, int rank);

// How many channels input `i` of `node` has; nothing when it is not known.
std::optional<int64_t> ChannelsOf(const Node& node, int i);

// `value` as a number for each channel of input `i`: it holds one, or one for each along the last
// axis, where the channels must be. Nothing when it is neither, or of no floating type.
std::optional<std::vector<double>> PerChannel(const Tensor& value, const Node& node, int i);

// A floating tensor's elements; empty for other types.
std::vector<double> AsDoubles(const Tensor& tensor);

// `weights` with the elements of channel c, which `channel_of` tells by the element's index, times
// scale[c].
template <typename ChannelOf>
absl::StatusOr<Tensor> ScaleElements(const Tensor& weights, const std::vector<double>& scale,
                                     const ChannelOf& channel_of) {
  ASSIGN_OR_RETURN(Tensor scaled, Tensor::Allocate(weights.dtype(), weights.shape(), nullptr));
  const bool known = DispatchType(
      TypeList<float, double, Eigen::half>(), weights.dtype(), [&]<typename T>() -> bool {
        for (int64_t i = 0; i < weights.num_elements(); ++i) {
          scaled.mutable_data<T>()[i] = static_cast<T>(static_cast<double>(weights.data<T>()[i]) *
                                                       scale[static_cast<size_t>(channel_of(i))]);
        }
        return true;
      });
  if (!known) return absl::UnimplementedError("weights of this type are not scaled");
  return scaled;
}

}  // namespace espalier

#endif  // ESPALIER_GRAPH_CHANNEL_MAP_H_
