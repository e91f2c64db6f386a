// Tested by the registry test.
#include "espalier/ops/elementwise.h"

namespace espalier {

absl::StatusOr<BroadcastLoop> BroadcastLoop::Make(const Shape& a, const Shape& b) {
  BroadcastLoop loop;
  ASSIGN_OR_RETURN(loop.output, Shape::Broadcast(a, b));
  RETURN_IF_ERROR(loop.output.CheckedNumElements().status());
  const int rank = loop.output.rank();
  int64_t stride_a = 1;
  int64_t stride_b = 1;
  std::vector<Dim> reversed;
  for (int i = rank - 1; i >= 0; --i) {
    const int ia = i - (rank - a.rank());
    const int ib = i - (rank - b.rank());
    const int64_t da = ia < 0 ? 1 : a.dim(ia);
    const int64_t db = ib < 0 ? 1 : b.dim(ib);
    const Dim dim = {loop.output.dim(i), da == 1 ? 0 : stride_a, db == 1 ? 0 : stride_b};
    stride_a *= da;
    stride_b *= db;
    if (dim.size == 1) continue;
    if (!reversed.empty()) {
      Dim& inner = reversed.back();
      const bool same_a = dim.stride_a == inner.size * inner.stride_a;
      const bool same_b = dim.stride_b == inner.size * inner.stride_b;
      if (same_a && same_b) {
        inner.size *= dim.size;
        continue;
      }
    }
    reversed.push_back(dim);
  }
  if (reversed.empty()) reversed.push_back({1, 1, 1});
  loop.dims.assign(reversed.rbegin(), reversed.rend());
  return loop;
}

}  // namespace espalier
