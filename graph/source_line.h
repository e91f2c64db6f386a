// The C++ line that made a node.
//
//   SourceLine line = SourceLine::Current();
//   line.ToString();   // "examples/mnist/plain.cc:17"
//
// A plain value that points into the program's own string literals; safe to copy and to keep.
#ifndef ESPALIER_GRAPH_SOURCE_LINE_H_
#define ESPALIER_GRAPH_SOURCE_LINE_H_

#include <string>

namespace espalier {

struct SourceLine {
  const char* file = nullptr;
  int line = 0;

  // The caller's line when used as a default argument or an expression. The builtins stand in for
  // std::source_location, which clang 14 lacks.
  static constexpr SourceLine Current(const char* file = __builtin_FILE(),
                                      int line = __builtin_LINE()) {
    return SourceLine{file, line};
  }

  bool known() const { return file != nullptr; }
  // "file:line", or "" when unknown.
  std::string ToString() const {
    return known() ? std::string(file) + ":" + std::to_string(line) : std::string();
  }
  friend bool operator==(const SourceLine& a, const SourceLine& b) {
    return a.file == b.file && a.line == b.line;
  }
};

}  // namespace espalier

#endif  // ESPALIER_GRAPH_SOURCE_LINE_H_
