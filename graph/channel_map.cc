// Tested by specialize_test.cc.
#include "espalier/graph/channel_map.h"

namespace espalier {

int ChannelAxis(const Node& node, int rank) {
  return node.attr<std::string>("data_format") == "NCHW" ? 1 : rank - 1;
}

std::optional<int64_t> ChannelsOf(const Node& node, int i) {
  const Shape& shape = node.input(i).shape();
  if (!shape.has_rank() || shape.rank() < 2) return std::nullopt;
  const int64_t channels = shape.dim(ChannelAxis(node, shape.rank()));
  return channels < 0 ? std::nullopt : std::optional(channels);
}

std::vector<double> AsDoubles(const Tensor& tensor) {
  return DispatchType(TypeList<float, double, Eigen::half>(), tensor.dtype(),
                      [&]<typename T>() -> std::vector<double> {
                        const T* data = tensor.data<T>();
                        return {data, data + tensor.num_elements()};
                      });
}

std::optional<std::vector<double>> PerChannel(const Tensor& value, const Node& node, int i) {
  const std::optional<int64_t> channels = ChannelsOf(node, i);
  const std::vector<double> values = AsDoubles(value);
  if (!channels || values.empty() || value.rank() > node.input(i).shape().rank())
    return std::nullopt;
  if (values.size() == 1) return std::vector<double>(static_cast<size_t>(*channels), values[0]);
  const bool along_last = value.rank() > 0 && value.dim(value.rank() - 1) == *channels &&
                          value.num_elements() == *channels;
  return along_last ? std::optional(values) : std::nullopt;
}

}  // namespace espalier
