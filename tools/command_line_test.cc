// Flags: both spellings, lists, bools, and what is wrong with the others.
#include "espalier/tools/command_line.h"

#include "espalier/tests/testing.h"

namespace espalier {
namespace {

TEST(CommandLineTest, TakesBothSpellingsListsAndBools) {
  std::string graph;
  std::vector<std::string> feeds, words;
  int64_t threads = 0;
  bool hints = false, quiet = true;
  CommandLine line;
  line.Flag("graph", "FILE", "the graph", &graph);
  line.Flag("feed", "X=F", "a value", &feeds);
  line.Flag("threads", "N", "threads", &threads);
  line.Flag("hints", "", "with hints", &hints);
  line.Flag("quiet", "", "no output", &quiet);
  line.Words(&words);
  ASSERT_TRUE(line.Parse({"--graph=g=1.pb", "--feed", "a=1", "--feed=b=2", "--threads", "4",
                          "--hints", "--noquiet", "word"})
                  .ok());
  EXPECT_EQ(graph, "g=1.pb");
  EXPECT_EQ(feeds, (std::vector<std::string>{"a=1", "b=2"}));
  EXPECT_EQ(threads, 4);
  EXPECT_TRUE(hints);
  EXPECT_FALSE(quiet);
  EXPECT_EQ(words, std::vector<std::string>{"word"});
}

TEST(CommandLineTest, WrongFlagsAreErrorsThatHelp) {
  std::string graph;
  int64_t threads = 0;
  CommandLine line;
  line.Flag("graph", "FILE", "the graph", &graph);
  line.Flag("threads", "N", "threads", &threads);
  const auto error = [&](const std::string& argument, const std::string& message) {
    ExpectError(line.Parse({argument}), absl::StatusCode::kInvalidArgument, {message});
  };
  error("--grahp=x", "did you mean --graph?");
  error("--threads=four", "takes a number");
  error("--graph", "needs a value");
  error("word", "unexpected argument 'word'");
  error("--nographs", "unknown flag");
}

}  // namespace
}  // namespace espalier
