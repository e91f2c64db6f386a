#include "espalier/ops/examples.h"

namespace espalier {

std::vector<OpExample> UnaryExamples(double (*function)(double),
                                     std::initializer_list<float> points) {
  const auto apply = [&](const Tensor& x) {
    std::vector<float> values;
    for (float v : x.flat<float>()) values.push_back(static_cast<float>(function(v)));
    return Tensor::FromVector<float>(x.shape(), values);
  };
  std::vector<OpExample> examples;
  const Tensor vector = Tensor::FromSpan<float>({static_cast<int64_t>(points.size())},
                                                absl::MakeConstSpan(points.begin(), points.size()));
  examples.push_back({.name = "vector", .inputs = {vector}, .expected = {apply(vector)}});
  const Tensor scalar = F({}, {*points.begin()});
  examples.push_back({.name = "scalar", .inputs = {scalar}, .expected = {apply(scalar)}});
  const Tensor empty = F({0, 3}, {});
  examples.push_back({.name = "empty", .inputs = {empty}, .expected = {empty}});
  return examples;
}

std::vector<OpExample> BinaryExamples(double (*function)(double, double)) {
  const Tensor matrix = F({2, 3}, {1.5f, 0.5f, 2.25f, 3.f, 0.75f, 1.25f});
  const Tensor other = F({2, 3}, {0.25f, 2.f, 1.75f, 2.5f, 1.f, 0.4f});
  const Tensor row = F({3}, {2.f, 0.6f, 1.1f});
  const Tensor column = F({2, 1}, {0.8f, 1.9f});
  const auto apply = [&](const Tensor& a, const Tensor& b, int64_t rows, int64_t columns) {
    std::vector<float> values;
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < columns; ++c) {
        const auto at = [&](const Tensor& t) {
          const int64_t row_stride = t.rank() < 2 || t.dim(0) == 1 ? 0 : t.dim(t.rank() - 1);
          const int64_t column_stride = t.rank() == 0 || t.dim(t.rank() - 1) == 1 ? 0 : 1;
          return static_cast<double>(t.data<float>()[r * row_stride + c * column_stride]);
        };
        values.push_back(static_cast<float>(function(at(a), at(b))));
      }
    }
    return Tensor::FromVector<float>({rows, columns}, values);
  };
  const Tensor scalar = F({}, {1.7f});
  const Tensor empty = F({0, 3}, {});
  return {
      {.name = "equal shapes", .inputs = {matrix, other}, .expected = {apply(matrix, other, 2, 3)}},
      {.name = "row on the right", .inputs = {matrix, row}, .expected = {apply(matrix, row, 2, 3)}},
      {.name = "row on the left", .inputs = {row, matrix}, .expected = {apply(row, matrix, 2, 3)}},
      {.name = "column", .inputs = {matrix, column}, .expected = {apply(matrix, column, 2, 3)}},
      {.name = "outer product", .inputs = {column, row}, .expected = {apply(column, row, 2, 3)}},
      {.name = "scalar", .inputs = {matrix, scalar}, .expected = {apply(matrix, scalar, 2, 3)}},
      {.name = "empty", .inputs = {empty, row}, .expected = {empty}},
  };
}

}  // namespace espalier
