// Every case that TensorFlow made, through the command: tests/conformance/README.md.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "espalier/tests/testing.h"
#include "espalier/tools/session_script.h"
#include "google/protobuf/struct.pb.h"
#include "google/protobuf/util/json_util.h"

namespace espalier {
namespace {

using google::protobuf::Struct;
using google::protobuf::Value;

constexpr char kCases[] = "tests/conformance";
constexpr char kCommand[] = "tools/espalier";

std::string ReadText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<std::string> CaseNames() {
  return absl::StrSplit(ReadText(absl::StrCat(kCases, "/cases.txt")), '\n', absl::SkipEmpty());
}

const std::map<std::string, std::string>& Exceptions() {
  static const auto* exceptions = [] {
    auto* map = new std::map<std::string, std::string>;
    const std::string text = ReadText(absl::StrCat(kCases, "/exceptions.txt"));
    for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty()))
      map->insert(std::pair<std::string, std::string>(absl::StrSplit(line, '\t')));
    return map;
  }();
  return *exceptions;
}

// The archives, unpacked once for the test program.
const std::string& Unpacked() {
  static const auto* folder = [] {
    auto* path = new std::string(testing::TempDir() + "/conformance");
    std::filesystem::create_directories(*path);
    for (const auto& entry : std::filesystem::directory_iterator(kCases)) {
      if (entry.path().extension() != ".gz") continue;
      const std::string tar =
          absl::StrCat("tar -xzf '", entry.path().string(), "' -C '", *path, "'");
      EXPECT_EQ(std::system(tar.c_str()), 0) << tar;
    }
    return path;
  }();
  return *folder;
}

// What the command writes on standard error when it fails; nothing when it works.
std::string Failure(const std::vector<std::string>& arguments) {
  const std::string log = testing::TempDir() + "/stderr";
  std::string line = kCommand;
  for (const std::string& argument : arguments) absl::StrAppend(&line, " '", argument, "'");
  const int code = std::system(absl::StrCat(line, " 2>'", log, "'").c_str());
  return code == 0 ? "" : absl::StrCat(line, "\n", ReadText(log));
}

std::string RunScript(const std::string& graph, const proto::SessionScript& script,
                      const std::string& path) {
  std::string json;
  EXPECT_TRUE(google::protobuf::util::MessageToJsonString(script, &json).ok());
  std::ofstream(path) << json;
  return Failure({"run", "--graph=" + graph, "--script=" + path});
}

std::vector<std::string> Strings(const Value& list) {
  std::vector<std::string> strings;
  for (const Value& v : list.list_value().values()) strings.push_back(v.string_value());
  return strings;
}

// One evaluation of the gradients: `what` has the feeds and the expected values by x.
proto::SessionStep GradientStep(const Struct& what, const Struct& all,
                                const std::map<std::string, std::string>& names) {
  proto::SessionStep step;
  step.set_rtol(all.fields().at("rtol").number_value());
  step.set_atol(all.fields().at("atol").number_value());
  for (const auto& [name, file] : what.fields().at("feeds").struct_value().fields())
    (*step.mutable_feed())[name] = file.string_value();
  for (const auto& [x, file] : what.fields().at("expect").struct_value().fields()) {
    EXPECT_EQ(file.has_null_value(), names.at(x).empty()) << "the gradient by " << x;
    if (names.at(x).empty()) continue;
    if (!step.expect().contains(names.at(x))) step.add_fetch(names.at(x));
    (*step.mutable_expect())[names.at(x)] = file.string_value();
  }
  return step;
}

// Differentiates the case's graph with the command, and runs what comes out.
std::string CheckGradients(const std::string& folder) {
  Struct all;
  EXPECT_TRUE(
      google::protobuf::util::JsonStringToMessage(ReadText(folder + "/gradients.json"), &all).ok());
  const std::vector<std::string> xs = Strings(all.fields().at("xs"));
  std::vector<std::string> ys = Strings(all.fields().at("ys"));
  std::string graph = folder + "/graph.pb";
  std::map<std::string, std::string> names;
  for (int order = 1; order <= all.fields().at("order").number_value(); ++order) {
    const std::string out = absl::StrCat(folder, "/g", order, ".pb");
    const std::string names_file = absl::StrCat(folder, "/names", order, ".json");
    const std::string failure = Failure(
        {"gradients", "--graph=" + graph, "--ys=" + absl::StrJoin(ys, ","),
         "--xs=" + absl::StrJoin(xs, ","), "--output=" + out, "--names_output=" + names_file});
    if (!failure.empty()) return failure;
    Struct json;
    EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(ReadText(names_file), &json).ok());
    ys.clear();
    for (const std::string& x : xs) {
      names[x] = json.fields().at(x).string_value();
      if (!names[x].empty()) ys.push_back(names[x]);
    }
    graph = out;
  }
  proto::SessionScript script;
  const std::vector<std::string> init = Strings(all.fields().at("init"));
  if (!init.empty()) {
    proto::SessionStep* step = script.add_steps();
    for (const std::string& target : init) step->add_target(target);
  }
  *script.add_steps() = GradientStep(all, all, names);
  if (all.fields().contains("more")) {
    for (const Value& more : all.fields().at("more").list_value().values())
      *script.add_steps() = GradientStep(more.struct_value(), all, names);
  }
  return RunScript(graph, script, folder + "/gradients_script.json");
}

// Nothing, or what went wrong.
std::string RunCase(const std::string& name) {
  const std::string folder = absl::StrCat(Unpacked(), "/", name);
  std::string failure =
      Failure({"run", "--graph=" + folder + "/graph.pb", "--script=" + folder + "/script.json",
               "--output_dir=" + folder + "/out"});
  if (!failure.empty()) return failure;
  const auto script = ReadSessionScript(folder + "/script.json");
  if (!script.ok()) return script.status().ToString();
  if (script->has_control()) {
    proto::SessionScript control;
    *control.mutable_steps() = script->control().steps();
    failure =
        RunScript(folder + "/" + script->control().graph(), control, folder + "/control.json");
    if (!failure.empty()) return "the sound graph: " + failure;
  }
  return std::filesystem::exists(folder + "/gradients.json") ? CheckGradients(folder) : "";
}

class ConformanceTest : public testing::TestWithParam<std::string> {};

TEST_P(ConformanceTest, GivesTensorFlowsNumbers) {
  const std::string failure = RunCase(GetParam());
  const auto exception = Exceptions().find(GetParam());
  if (exception == Exceptions().end()) {
    EXPECT_EQ(failure, "");
  } else {
    EXPECT_NE(failure, "") << "it passes: take it off tests/conformance/exceptions.txt";
    std::printf("%s does not pass: %s\n", GetParam().c_str(), exception->second.c_str());
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, ConformanceTest, testing::ValuesIn(CaseNames()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace espalier
