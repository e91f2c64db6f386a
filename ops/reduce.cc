// Tested by the registry test.
#include "espalier/ops/reduce.h"

#include "absl/strings/str_cat.h"
#include "espalier/graph/shape_inference.h"

namespace espalier {

absl::StatusOr<ReductionLayout> ReductionLayout::Make(const Shape& input,
                                                      const std::vector<int64_t>& axes,
                                                      bool keep_dims) {
  std::vector<bool> reduced(input.rank());
  for (int64_t axis : axes) {
    ASSIGN_OR_RETURN(int64_t normal, NormalizeAxis(axis, input.rank()));
    if (reduced[normal])
      return absl::InvalidArgumentError(absl::StrCat("axis ", axis, " is given twice"));
    reduced[normal] = true;
  }
  ReductionLayout layout;
  layout.groups = {1};
  bool last_reduced = false;
  for (int i = 0; i < input.rank(); ++i) {
    const int64_t size = input.dim(i);
    if (!reduced[i]) {
      layout.output.push_back(size);
    } else {
      layout.reduced_elements *= size;
      if (keep_dims) layout.output.push_back(1);
    }
    if (size == 1) continue;
    if (reduced[i] == last_reduced) {
      layout.groups.back() *= size;
    } else {
      layout.groups.push_back(size);
      last_reduced = reduced[i];
    }
  }
  return layout;
}

}  // namespace espalier
