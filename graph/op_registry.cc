// Tested by ops/registry_test.cc.
#include "espalier/graph/op_registry.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"

namespace espalier {
namespace {

// Levenshtein distance, cut off above `limit`.
int EditDistance(const std::string& a, const std::string& b, int limit) {
  if (std::abs(static_cast<int>(a.size()) - static_cast<int>(b.size())) > limit) return limit + 1;
  std::vector<int> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 1; i <= a.size(); ++i) {
    int diagonal = row[0];
    row[0] = static_cast<int>(i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const int replace = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replace});
    }
  }
  return row.back();
}

}  // namespace

std::string NearestName(const std::string& name, const std::vector<std::string>& candidates) {
  if (name.empty() || name.size() > 256) return "";
  int best = std::min<int>(3, static_cast<int>(name.size() + 1) / 2) + 1;
  std::string nearest;
  for (const std::string& candidate : candidates) {
    const int distance = EditDistance(name, candidate, best);
    if (distance < best) {
      best = distance;
      nearest = candidate;
    }
  }
  return nearest;
}

OpSchema& OpRegistry::Add(const std::string& name) {
  std::unique_ptr<OpSchema>& slot = ops_[name];
  if (slot && duplicate_.empty()) duplicate_ = name;
  slot = std::make_unique<OpSchema>(name);
  return *slot;
}

const OpSchema* OpRegistry::Find(const std::string& name) const {
  const auto it = ops_.find(name);
  return it == ops_.end() ? nullptr : it->second.get();
}

std::string OpRegistry::Suggest(const std::string& name) const {
  std::vector<std::string> names;
  for (const auto& [known, schema] : ops_) names.push_back(known);
  return NearestName(name, names);
}

std::vector<const OpSchema*> OpRegistry::ops() const {
  std::vector<const OpSchema*> all;
  for (const auto& [name, schema] : ops_) all.push_back(schema.get());
  return all;
}

absl::Status OpRegistry::Validate() const {
  if (!duplicate_.empty()) {
    return absl::FailedPreconditionError(absl::StrCat("op ", duplicate_, " is declared twice"));
  }
  for (const auto& [name, schema] : ops_) {
    if (absl::Status status = schema->Validate(); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace espalier
