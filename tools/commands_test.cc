// The commands as a shell runs them: exit codes, one status code on standard error, what they
// print.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "espalier/tests/testing.h"

namespace espalier {
namespace {

struct Result {
  int code;
  std::string out, err;
};

std::string Text(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

Result Shell(const std::string& arguments) {
  const std::string out = testing::TempDir() + "/out", err = testing::TempDir() + "/err";
  const int code = std::system(
      absl::StrCat("tools/espalier ", arguments, " >'", out, "' 2>'", err, "'").c_str());
  return {WEXITSTATUS(code), Text(out), Text(err)};
}

// y = x w, written as text.
std::string GraphFile() {
  Graph graph;
  const Scope s = graph.root();
  const Output x = Placeholder(s.Named("layer/x"), kFloat, {-1, 2});
  const Output w = Variable(s.Named("w"), Tensor::Of<float>({2, 3}, {1, 2, 3, 4, 5, 6}));
  MatMul(s.Named("layer/y"), x, w);
  const std::string path = testing::TempDir() + "/g.pbtxt";
  EXPECT_TRUE(WriteGraphDef(*ExportGraphDef(graph), path).ok());
  return path;
}

TEST(CommandsTest, HelpShowsAnExampleAndWrongUsageExitsWith2) {
  EXPECT_EQ(Shell("--help").code, 0);
  for (const char* command :
       {"run", "summarize", "gradients", "specialize", "convert", "diff", "dot"}) {
    const Result help = Shell(absl::StrCat(command, " --help"));
    EXPECT_EQ(help.code, 0);
    EXPECT_NE(help.out.find(absl::StrCat("espalier ", command)), std::string::npos) << help.out;
    EXPECT_NE(help.out.find("For example"), std::string::npos);
    EXPECT_EQ(Shell(absl::StrCat(command, " --no_such_flag=1")).code, 2);
  }
  const Result unknown = Shell("sumarize");
  EXPECT_EQ(unknown.code, 2);
  EXPECT_NE(unknown.err.find("did you mean 'summarize'?"), std::string::npos) << unknown.err;
  EXPECT_EQ(Shell("").code, 2);
}

TEST(CommandsTest, AFailureExitsWith1AndNamesItsCode) {
  const Result gone = Shell("run --graph=/no/such.pb --fetch=y:0");
  EXPECT_EQ(gone.code, 1);
  EXPECT_TRUE(gone.err.starts_with("NOT_FOUND: ")) << gone.err;
  const Result unfed = Shell(absl::StrCat("run --graph=", GraphFile(), " --fetch=layer/y:0"));
  EXPECT_EQ(unfed.code, 1);
  EXPECT_TRUE(unfed.err.starts_with("INVALID_ARGUMENT: ")) << unfed.err;
}

TEST(CommandsTest, F20_WrongFeedsAndFetchesAreOneLine) {
  const std::string run = absl::StrCat("run --graph=", GraphFile());
  EXPECT_EQ(Shell(absl::StrCat(run, " --feed=layer/x:0 --fetch=layer/y:0")).code, 2);
  const std::string x = testing::TempDir() + "/x.npy";
  std::ofstream(x, std::ios::binary)
      << std::string("\x93NUMPY\1\0\x3c\0", 10)
      << "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 2), }\n";
  const std::string feed = absl::StrCat(" --feed=layer/x:0=", x);
  for (const auto& [arguments, code] : std::vector<std::pair<std::string, std::string>>{
           {absl::StrCat(run, feed, feed, " --fetch=layer/y:0"), "INVALID_ARGUMENT: "},
           {absl::StrCat(run, feed, " --fetch="), "NOT_FOUND: "},
           {absl::StrCat(run, feed, " --fetch='__import__(\"os\").system(\"id\")'"), "NOT_FOUND: "},
           {absl::StrCat("summarize --graph=", testing::TempDir()), "INVALID_ARGUMENT: "}}) {
    const Result result = Shell(arguments);
    EXPECT_EQ(result.code, 1) << arguments;
    EXPECT_TRUE(result.err.starts_with(code)) << arguments << ": " << result.err;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  }
}

TEST(CommandsTest, F21_AClosedOutputIsAFailureAndOutputMayBeTheInput) {
  const std::string graph = GraphFile();
  const int closed = std::system(
      absl::StrCat("tools/espalier summarize --graph=", graph, " >&- 2>/dev/null").c_str());
  EXPECT_NE(WEXITSTATUS(closed), 0);
  EXPECT_EQ(Shell(absl::StrCat("convert --graph=", graph, " --output=", graph)).code, 0);
  EXPECT_EQ(Shell(absl::StrCat("summarize --graph=", graph)).code, 0);
}

TEST(CommandsTest, F22_APipeIsReadToItsEnd) {
  const std::string graph = GraphFile(), pipe = testing::TempDir() + "/pipe";
  std::remove(pipe.c_str());
  ASSERT_EQ(std::system(absl::StrCat("mkfifo ", pipe).c_str()), 0);
  ASSERT_EQ(std::system(absl::StrCat("cat ", graph, " > ", pipe, " &").c_str()), 0);
  const Result report = Shell(absl::StrCat("summarize --graph=", pipe));
  EXPECT_EQ(report.code, 0) << report.err;
  EXPECT_NE(report.out.find("MatMul"), std::string::npos) << report.out;
}

TEST(CommandsTest, SpecializeDecidesAndFreezes) {
  const std::string plain = testing::TempDir() + "/plain.pb";
  const std::string specialize =
      absl::StrCat("specialize --graph=", GraphFile(), " --fetch=layer/y:0 --output=", plain);
  const Result unset = Shell(specialize);
  EXPECT_EQ(unset.code, 1) << "the variables have no values";
  EXPECT_TRUE(unset.err.starts_with("FAILED_PRECONDITION: ")) << unset.err;
  const Result done = Shell(absl::StrCat(specialize, " --init=w/Assign"));
  EXPECT_EQ(done.code, 0) << done.err;
  const Result report = Shell(absl::StrCat("summarize --graph=", plain));
  EXPECT_EQ(report.out.find("VariableV2"), std::string::npos) << report.out;
  EXPECT_NE(report.out.find("MatMul"), std::string::npos) << report.out;
  EXPECT_EQ(Shell(absl::StrCat(specialize, " --set=layer/x:0")).code, 2);
  const Result wrong = Shell(absl::StrCat(specialize, " --set=layer/x:0=true"));
  EXPECT_EQ(wrong.code, 1);
  EXPECT_TRUE(wrong.err.starts_with("INVALID_ARGUMENT: ")) << wrong.err;
}

TEST(CommandsTest, SummarizeNamesInputsVariablesAndWork) {
  const Result report = Shell(absl::StrCat("summarize --graph=", GraphFile()));
  EXPECT_EQ(report.code, 0) << report.err;
  for (const char* part :
       {"layer/x", "float[?,2]", "Variables: 1, 6 parameters, 24 bytes", "MatMul"})
    EXPECT_NE(report.out.find(part), std::string::npos) << part << " in:\n" << report.out;
}

TEST(CommandsTest, ConvertAndDiffAgree) {
  const std::string graph = GraphFile(), binary = testing::TempDir() + "/g.pb";
  ASSERT_EQ(Shell(absl::StrCat("convert --graph=", graph, " --output=", binary)).code, 0);
  EXPECT_EQ(Shell(absl::StrCat("diff ", graph, " ", binary)).code, 0);
  const std::string more = testing::TempDir() + "/more.pb";
  ASSERT_EQ(Shell(absl::StrCat("gradients --graph=", graph,
                               " --ys=layer/y --xs=layer/x:0 --output=", more))
                .code,
            0);
  const Result diff = Shell(absl::StrCat("diff ", graph, " ", more));
  EXPECT_EQ(diff.code, 1);
  EXPECT_NE(diff.out.find("+ MatMul gradients/"), std::string::npos) << diff.out;
}

TEST(CommandsTest, DotDrawsScopesShapesAndOnlyWhatIsAskedFor) {
  const std::string graph = GraphFile();
  const Result all = Shell(absl::StrCat("dot --graph=", graph));
  EXPECT_EQ(all.code, 0) << all.err;
  for (const char* part : {"cluster_layer", "[?,2]", "w/Assign"})
    EXPECT_NE(all.out.find(part), std::string::npos) << part << " in:\n" << all.out;
  const Result some = Shell(absl::StrCat("dot --fetch=layer/y:0 --graph=", graph));
  EXPECT_EQ(some.out.find("w/Assign"), std::string::npos) << some.out;
}

}  // namespace
}  // namespace espalier
