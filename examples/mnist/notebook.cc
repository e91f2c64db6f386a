// Trains the networks of the batch-normalisation notebook on MNIST and prints what the notebook
// prints.
//
//   notebook --network=layers --data_dir=data/mnist
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "espalier/examples/mnist/network.h"
#include "espalier/graph/export_meta_graph.h"

ABSL_FLAG(std::string, network, "layers", "plain, layers, low_level, or all");
ABSL_FLAG(int, batches, 800, "training steps");
ABSL_FLAG(int, batch_size, 64, "examples in a step");
ABSL_FLAG(double, learning_rate, 0.002, "Adam's rate");
ABSL_FLAG(uint32_t, seed, 1, "of the weights and of the order of the batches");
ABSL_FLAG(int, threads, 0, "0: one for each core");
ABSL_FLAG(std::string, data_dir, "data/mnist", "the folder with the four IDX files");
ABSL_FLAG(std::string, export_graph, "",
          "write the training graph to this file and stop (.pbtxt: as text)");
ABSL_FLAG(std::string, export_meta_graph, "",
          "the same with its collections: what tf.train.import_meta_graph reads");

namespace espalier::mnist {
namespace {

constexpr int kSingleImages = 100;

// How far the training is, on standard error, when a person is watching.
class ProgressBar {
 public:
  ProgressBar(int total, bool shown)
      : total_(total), shown_(shown), start_(std::chrono::steady_clock::now()) {}
  ~ProgressBar() { Clear(); }

  void Step(int done) {
    if (!shown_) return;
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    const int filled = total_ == 0 ? kWidth : done * kWidth / total_;
    absl::FPrintF(stderr, "\r[%s%s] %d/%d  %.1f ms a step ", std::string(filled, '#'),
                  std::string(kWidth - filled, '.'), done, total_,
                  1000 * seconds / std::max(done, 1));
  }
  // Makes room for a line of output.
  void Clear() {
    if (shown_) absl::FPrintF(stderr, "\r\033[K");
  }

 private:
  static constexpr int kWidth = 30;
  const int total_;
  const bool shown_;
  const std::chrono::steady_clock::time_point start_;
};

struct Score {
  float loss;
  float accuracy;
};

class Trainer {
 public:
  Trainer(const Network& network, const Session& session) : network_(network), session_(session) {}

  absl::Status Step(const train::Batch& batch) const {
    return session_.Run(Feeds(batch.images, batch.labels, true), {.target = {network_.train}})
        .status();
  }

  absl::StatusOr<Score> Evaluate(const Tensor& images, const Tensor& labels, bool training) const {
    ASSIGN_OR_RETURN(std::vector<Tensor> out,
                     session_.Run(Feeds(images, labels, training),
                                  {.fetch = {network_.loss, network_.accuracy}}));
    return Score{out[0].scalar<float>(), out[1].scalar<float>()};
  }

 private:
  std::vector<Feed> Feeds(const Tensor& images, const Tensor& labels, bool training) const {
    std::vector<Feed> feeds = {{network_.x, images}, {network_.y, labels}};
    if (network_.is_training.valid()) feeds.push_back({network_.is_training, training});
    return feeds;
  }

  const Network& network_;
  const Session& session_;
};

absl::Status Train(const Trainer& trainer, train::Mnist& mnist, bool training_scores_train) {
  const int batches = absl::GetFlag(FLAGS_batches);
  ProgressBar bar(batches, isatty(STDERR_FILENO) != 0);
  for (int i = 0; i < batches; ++i) {
    ASSIGN_OR_RETURN(train::Batch batch, mnist.train.NextBatch(absl::GetFlag(FLAGS_batch_size)));
    RETURN_IF_ERROR(trainer.Step(batch));
    bar.Step(i + 1);
    if (i % 100 == 0) {
      ASSIGN_OR_RETURN(Score score, trainer.Evaluate(mnist.validation.images(),
                                                     mnist.validation.labels(), false));
      bar.Clear();
      absl::PrintF("Batch: %2d: Validation loss: %.5f, Validation accuracy: %.5f\n", i, score.loss,
                   score.accuracy);
    } else if (i % 25 == 0) {
      ASSIGN_OR_RETURN(Score score,
                       trainer.Evaluate(batch.images, batch.labels, training_scores_train));
      bar.Clear();
      absl::PrintF("Batch: %2d: Training loss: %.5f, Training accuracy: %.5f\n", i, score.loss,
                   score.accuracy);
    }
    std::fflush(stdout);
  }
  return absl::OkStatus();
}

absl::Status Report(const Trainer& trainer, const train::Mnist& mnist) {
  ASSIGN_OR_RETURN(Score validation,
                   trainer.Evaluate(mnist.validation.images(), mnist.validation.labels(), false));
  absl::PrintF("Final validation accuracy: %.5f\n", validation.accuracy);
  ASSIGN_OR_RETURN(Score test, trainer.Evaluate(mnist.test.images(), mnist.test.labels(), false));
  absl::PrintF("Final test accuracy: %.5f\n", test.accuracy);
  // One at a time: works only when the population statistics are right.
  double correct = 0;
  for (int i = 0; i < kSingleImages; ++i) {
    ASSIGN_OR_RETURN(Tensor image, mnist.test.images().Slice(i, i + 1));
    ASSIGN_OR_RETURN(Tensor label, mnist.test.labels().Slice(i, i + 1));
    ASSIGN_OR_RETURN(Score score, trainer.Evaluate(image, label, false));
    correct += score.accuracy;
  }
  absl::PrintF("Accuracy on %d samples: %s\n", kSingleImages,
               absl::StrCat(correct / kSingleImages));
  return absl::OkStatus();
}

absl::Status RunOne(const std::string& name) {
  Graph graph;
  graph.set_seed(absl::GetFlag(FLAGS_seed));
  ASSIGN_OR_RETURN(Network network,
                   BuildNetwork(name, graph.root(), absl::GetFlag(FLAGS_learning_rate)));
  RETURN_IF_ERROR(graph.status());
  if (const std::string path = absl::GetFlag(FLAGS_export_graph); !path.empty()) {
    ASSIGN_OR_RETURN(proto::GraphDef def, ExportGraphDef(graph));
    RETURN_IF_ERROR(WriteGraphDef(def, path));
    absl::PrintF("Wrote %d nodes to %s\n", def.node_size(), path);
    return absl::OkStatus();
  }
  if (const std::string path = absl::GetFlag(FLAGS_export_meta_graph); !path.empty()) {
    ASSIGN_OR_RETURN(const proto::MetaGraphDef meta, ExportMetaGraph(graph));
    RETURN_IF_ERROR(WriteMetaGraph(meta, path));
    absl::PrintF("Wrote %d nodes and %d collections to %s\n", meta.graph_def().node_size(),
                 meta.collection_def_size(), path);
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(train::Mnist mnist,
                   train::Mnist::Read(absl::GetFlag(FLAGS_data_dir), absl::GetFlag(FLAGS_seed)));
  const int threads = absl::GetFlag(FLAGS_threads);
  Session session(
      graph,
      {.threads = threads > 0 ? threads : static_cast<int>(std::thread::hardware_concurrency())});
  RETURN_IF_ERROR(session.Initialize());
  const Trainer trainer(network, session);
  // As in the notebook: the layers network scores its training batches as in training, the other
  // one as in inference.
  RETURN_IF_ERROR(Train(trainer, mnist, /*training_scores_train=*/name == "layers"));
  return Report(trainer, mnist);
}

absl::Status Main() {
  const std::string name = absl::GetFlag(FLAGS_network);
  if (name != "all") return RunOne(name);
  for (const char* each : {"plain", "layers", "low_level"}) {
    absl::PrintF("--- network: %s\n", each);
    RETURN_IF_ERROR(RunOne(each));
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace espalier::mnist

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage(
      "Trains the networks of the batch-normalisation notebook on MNIST.\n"
      "  notebook --network=layers --batches=800 --data_dir=data/mnist");
  absl::ParseCommandLine(argc, argv);
  const absl::Status status = espalier::mnist::Main();
  if (!status.ok()) absl::FPrintF(stderr, "notebook: %s\n", status.ToString());
  return status.ok() ? 0 : 1;
}
