// Tested by specialize_test.cc.
#include "espalier/runtime/fold_channel_maps.h"

#include <algorithm>

#include "absl/container/flat_hash_map.h"
#include "espalier/graph/channel_map.h"
#include "espalier/graph/status_macros.h"

namespace espalier {
namespace {

// A linear op and the channel maps behind it, not yet written.
struct Chain {
  const Node* linear = nullptr;
  const Node* last = nullptr;
  std::vector<double> scale, offset;
};

class Folder {
 public:
  Folder(const Graph& plain, const std::vector<Output>& fetches, Graph& folded)
      : plain_(plain), fetches_(fetches), folded_(folded) {}

  absl::StatusOr<std::vector<Output>> Run() {
    for (const auto& node : plain_.nodes()) {
      for (const Output& input : node->inputs()) ++uses_[input];
      for (const Node* control : node->control_inputs()) {
        for (int o = 0; o < control->num_outputs(); ++o) uses_[control->output(o)] += 2;
      }
    }
    for (const Output& fetch : fetches_) ++uses_[fetch];
    for (const auto& node : plain_.nodes()) {
      if (Extend(*node)) continue;
      if (absl::StatusOr<bool> begun = Begin(*node); !begun.ok() || *begun) {
        RETURN_IF_ERROR(begun.status());
        continue;
      }
      RETURN_IF_ERROR(Copy(*node));
    }
    for (const auto& [merge, back_edge] : back_edges_) {
      ASSIGN_OR_RETURN(const Output value, Written(merge->input(back_edge)));
      RETURN_IF_ERROR(folded_.SetBackEdge(copies_.at(merge), back_edge, value));
    }
    std::vector<Output> fetches;
    for (const Output& fetch : fetches_) {
      ASSIGN_OR_RETURN(const Output output, Written(fetch));
      fetches.push_back(output);
    }
    return fetches;
  }

 private:
  static const Tensor* ConstantOf(const Output& output) {
    if (!output.valid() || !output.node()->traits().is_constant) return nullptr;
    const AttrValue* value = output.node()->FindAttr("value");
    return value == nullptr ? nullptr : std::get_if<Tensor>(static_cast<const AttrVariant*>(value));
  }

  // Takes `node` into the chain of its input.
  bool Extend(const Node& node) {
    if (node.schema() == nullptr || node.schema()->channel_map() == nullptr ||
        !node.control_inputs().empty()) {
      return false;
    }
    std::vector<const Tensor*> constants;
    for (const Output& input : node.inputs()) constants.push_back(ConstantOf(input));
    const std::optional<ChannelMap> map = node.schema()->channel_map()(node, constants);
    if (!map) return false;
    const Output& x = node.input(map->input);
    const auto it = chains_.find(x);
    if (it == chains_.end() || uses_[x] != 1 || written_.contains(x)) return false;
    for (int o = 1; o < node.num_outputs(); ++o) {
      if (uses_.contains(node.output(o))) return false;
    }
    Chain chain = it->second;
    const int rank = x.shape().rank();
    if (map->scale.size() != chain.scale.size() || node.output_shape(0).rank() != rank ||
        ChannelAxis(node, rank) != ChannelAxis(*chain.linear, rank)) {
      return false;
    }
    for (size_t c = 0; c < chain.scale.size(); ++c) {
      chain.scale[c] *= map->scale[c];
      chain.offset[c] = chain.offset[c] * map->scale[c] + map->offset[c];
    }
    chain.last = &node;
    chains_.erase(it);
    chains_[node.output(0)] = std::move(chain);
    return true;
  }

  // Starts a chain at a linear op with constant weights.
  absl::StatusOr<bool> Begin(const Node& node) {
    if (node.schema() == nullptr || node.schema()->scale_weights() == nullptr ||
        !node.control_inputs().empty()) {
      return false;
    }
    const Tensor* weights = ConstantOf(node.input(1));
    const Shape& shape = node.output_shape(0);
    if (weights == nullptr || !shape.has_rank() || shape.rank() < 2) return false;
    const int64_t channels = shape.dim(ChannelAxis(node, shape.rank()));
    if (channels < 1) return false;
    Chain chain = {.linear = &node,
                   .last = &node,
                   .scale = std::vector<double>(static_cast<size_t>(channels), 1),
                   .offset = std::vector<double>(static_cast<size_t>(channels), 0)};
    if (!node.schema()->scale_weights()(node, *weights, chain.scale).ok()) return false;
    RETURN_IF_ERROR(Written(node.input(0)).status());  // so that chains do not stack up
    chains_[node.output(0)] = std::move(chain);
    return true;
  }

  // `output`, a tensor of the plain graph, in the folded one.
  absl::StatusOr<Output> Written(const Output& output) {
    const auto it = written_.find(output);
    if (it != written_.end()) return it->second;
    const auto chain = chains_.find(output);
    if (chain == chains_.end()) {
      return absl::InternalError(output.name() + " is used before it is made");
    }
    ASSIGN_OR_RETURN(const Output value, Write(chain->second));
    return written_[output] = value;
  }

  absl::StatusOr<Output> Write(const Chain& chain) {
    const Node& linear = *chain.linear;
    ASSIGN_OR_RETURN(const Output x, Written(linear.input(0)));
    if (chain.last == &linear) {
      ASSIGN_OR_RETURN(const Output weights, Written(linear.input(1)));
      ASSIGN_OR_RETURN(const Node* node, Add(linear, linear.name(), {x, weights}));
      return node->output(0);
    }
    const Tensor& weights = *ConstantOf(linear.input(1));
    ASSIGN_OR_RETURN(const Tensor scaled,
                     linear.schema()->scale_weights()(linear, weights, chain.scale));
    ASSIGN_OR_RETURN(const Output filter, AddConst(linear.name() + "/weights", scaled));
    ASSIGN_OR_RETURN(const Node* node, Add(linear, linear.name(), {x, filter}));
    const auto channels = static_cast<int64_t>(chain.offset.size());
    ASSIGN_OR_RETURN(Tensor offset, Tensor::Allocate(weights.dtype(), {channels}));
    DispatchType(TypeList<float, double, Eigen::half>(), weights.dtype(), [&]<typename T>() {
      for (int64_t c = 0; c < channels; ++c)
        offset.mutable_data<T>()[c] = static_cast<T>(chain.offset[static_cast<size_t>(c)]);
      return true;
    });
    ASSIGN_OR_RETURN(const Output bias, AddConst(linear.name() + "/offset", offset));
    NodeSpec spec = {
        .name = chain.last->name(), .op = "BiasAdd", .inputs = {node->output(0), bias}};
    if (linear.attr<std::string>("data_format") == "NCHW") spec.attrs["data_format"] = "NCHW";
    ASSIGN_OR_RETURN(const Node* sum, folded_.AddNode(std::move(spec)));
    return sum->output(0);
  }

  absl::StatusOr<Output> AddConst(const std::string& name, const Tensor& value) {
    ASSIGN_OR_RETURN(const Node* node,
                     folded_.AddNode({.name = folded_.UniqueName(name),
                                      .op = "Const",
                                      .attrs = {{"value", value}, {"dtype", value.dtype()}}}));
    return node->output(0);
  }

  absl::StatusOr<Node*> Add(const Node& like, const std::string& name, std::vector<Output> inputs,
                            std::vector<const Node*> controls = {}) {
    return folded_.AddNode({.name = name,
                            .op = like.op(),
                            .inputs = std::move(inputs),
                            .control_inputs = std::move(controls),
                            .attrs = like.attrs()});
  }

  absl::Status Copy(const Node& node) {
    std::vector<Output> inputs;
    for (int i = 0; i < node.num_inputs(); ++i) {
      if (node.traits().is_merge && node.input(i).node()->id() >= node.id()) {
        back_edges_.push_back({&node, i});
        inputs.emplace_back();
        continue;
      }
      ASSIGN_OR_RETURN(const Output input, Written(node.input(i)));
      inputs.push_back(input);
    }
    std::vector<const Node*> controls;
    for (const Node* control : node.control_inputs()) {
      if (!copies_.contains(control)) RETURN_IF_ERROR(Written(control->output(0)).status());
      controls.push_back(copies_.contains(control) ? copies_.at(control)
                                                   : written_.at(control->output(0)).node());
    }
    ASSIGN_OR_RETURN(Node * copy, Add(node, node.name(), std::move(inputs), std::move(controls)));
    copies_[&node] = copy;
    for (int o = 0; o < node.num_outputs(); ++o) written_[node.output(o)] = copy->output(o);
    return absl::OkStatus();
  }

  const Graph& plain_;
  const std::vector<Output>& fetches_;
  Graph& folded_;
  absl::flat_hash_map<Output, int> uses_;
  absl::flat_hash_map<Output, Chain> chains_;    // by the output of the last node
  absl::flat_hash_map<Output, Output> written_;  // to the folded graph
  absl::flat_hash_map<const Node*, Node*> copies_;
  std::vector<std::pair<const Node*, int>> back_edges_;
};

}  // namespace

absl::StatusOr<std::vector<Output>> FoldChannelMaps(const Graph& plain,
                                                    const std::vector<Output>& fetches,
                                                    Graph& folded) {
  return Folder(plain, fetches, folded).Run();
}

}  // namespace espalier
