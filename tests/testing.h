// Short forms for tests.
#ifndef ESPALIER_TESTS_TESTING_H_
#define ESPALIER_TESTS_TESTING_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "espalier/espalier.h"
#include "gtest/gtest.h"

namespace espalier {

// The tensors of a Run that must work.
inline std::vector<Tensor> MustRun(const Session& session, const std::vector<Feed>& feeds,
                                   const RunRequest& request) {
  const absl::StatusOr<std::vector<Tensor>> out = session.Run(feeds, request);
  EXPECT_TRUE(out.ok()) << out.status();
  return out.ok() ? *out : std::vector<Tensor>(request.fetch.size(), Tensor(0.0f));
}

inline std::vector<float> Floats(const Tensor& t) {
  return {t.flat<float>().begin(), t.flat<float>().end()};
}

inline void ExpectError(const absl::Status& status, absl::StatusCode code,
                        const std::vector<std::string>& parts) {
  EXPECT_EQ(status.code(), code) << status;
  for (const std::string& part : parts) {
    EXPECT_NE(std::string(status.message()).find(part), std::string::npos)
        << "expected '" << part << "' in: " << status.message();
  }
}

}  // namespace espalier

#endif  // ESPALIER_TESTS_TESTING_H_
