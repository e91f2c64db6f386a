// Philox 4x32-10 (Salmon et al. 2011), the counter-based generator behind TensorFlow's random ops.
//
//   Philox generator(seed, seed2);
//   generator.Skip(5);                     // five groups of four numbers
//   std::array<uint32_t, 4> four = generator();
#ifndef ESPALIER_OPS_PHILOX_H_
#define ESPALIER_OPS_PHILOX_H_

#include <array>
#include <cstdint>

namespace espalier {

class Philox {
 public:
  Philox(uint64_t seed, uint64_t seed2) {
    key_ = {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
    counter_ = {0, 0, static_cast<uint32_t>(seed2), static_cast<uint32_t>(seed2 >> 32)};
  }

  Philox(const std::array<uint32_t, 2>& key, const std::array<uint32_t, 4>& counter)
      : key_(key), counter_(counter) {}

  // Four uniform numbers; the counter moves on by one.
  std::array<uint32_t, 4> operator()() {
    std::array<uint32_t, 4> x = counter_;
    std::array<uint32_t, 2> key = key_;
    for (int round = 0; round < 10; ++round) {
      const uint64_t a = uint64_t{0xD2511F53} * x[0];
      const uint64_t b = uint64_t{0xCD9E8D57} * x[2];
      x = {static_cast<uint32_t>(b >> 32) ^ x[1] ^ key[0], static_cast<uint32_t>(b),
           static_cast<uint32_t>(a >> 32) ^ x[3] ^ key[1], static_cast<uint32_t>(a)};
      key[0] += 0x9E3779B9;
      key[1] += 0xBB67AE85;
    }
    Skip(1);
    return x;
  }

  const std::array<uint32_t, 2>& key() const { return key_; }
  const std::array<uint32_t, 4>& counter() const { return counter_; }

  void Skip(uint64_t count) {
    for (int i = 0; i < 4 && count != 0; ++i) {
      const uint64_t sum = uint64_t{counter_[i]} + (count & 0xffffffffU);
      counter_[i] = static_cast<uint32_t>(sum);
      count = (count >> 32) + (sum >> 32);
    }
  }

 private:
  std::array<uint32_t, 2> key_;
  std::array<uint32_t, 4> counter_;
};

}  // namespace espalier

#endif  // ESPALIER_OPS_PHILOX_H_
