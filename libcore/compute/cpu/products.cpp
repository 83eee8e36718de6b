// SPDX-License-Identifier: Apache-2.0
// Matrix products: operands packed in panels, tiles from the pool's counter, each element one chain over k.
//
// Why own kernels and not a BLAS: libraries choose kernels, and with them the order of sums, by the number of rows,
// so that a row's bits depend on its batch. Here an element of the result is the same chain of multiply-adds wherever
// it stands, by construction: tiles may be cut to fit the threads without changing a bit.
#include "libcore/base/error.hpp"
#include "libcore/compute/cpu/kernels.hpp"
#include "libcore/compute/cpu/operations.hpp"
#include "libcore/compute/cpu/scratch.hpp"

#include <algorithm>
#include <type_traits>

namespace stillhouse::compute::cpu {

namespace {

constexpr Index most_depth = 512;   // steps along k before a sum goes to memory; sums of blocks are added in order
constexpr Index rows_of_tile = 96;  // a multiple of every level's tile_rows
constexpr Index cols_of_tile = 256; // a multiple of every level's panel_cols
constexpr Index rows_at_once = 16;  // that are packed together: they stay in the first cache
constexpr Index serial_work = Index{1} << 16;            // multiply-adds below which waking threads costs more
constexpr Index packed_elements = Index{1} << 20;        // of the right operand at a time: they stay in cache
constexpr Index turned_elements = Index{1} << 22;        // of a transposed left operand, for all tiles in a row
constexpr Index chunk_elements = Index{1} << 20;         // of both operands of a long sum at a time

Index ceil_div(Index a, Index b)
{
    return (a + b - 1) / b;
}

template <class Body>
void run(ThreadPool& pool, Index work, Index n, const Body& body)
{
    if (work <= serial_work) {
        for (Index i = 0; i < n; ++i) {
            body(i);
        }
    } else {
        pool.for_each(n, body);
    }
}

/// Operands that are multiplied as they are.
template <class T>
struct Plain {
    using Element = T;
    const Panels<T, T>& panels = kernels<T>().panels;

    static constexpr Index rows_of_step = 1;
    static Index steps(Index k) { return k; }

    /// Columns j0 .. j0 + cols of B^T as one panel [k, panel_cols], zeros behind the last column.
    void pack_turned(Matrix<const T> b, Index k, Index j0, Index cols, T* to) const
    {
        const Index width = panels.panel_cols;
        if (cols < width) {
            std::fill(to, to + k * width, T(0));
        }
        panels.transpose(b.row(j0), b.stride, cols, k, to, width);
    }

    /// Steps p0 .. p0 + n of the panel of columns j0 .. j0 + cols of B.
    void pack_steps(Matrix<const T> b, Index p0, Index n, Index j0, Index cols, T* panel) const
    {
        const Index width = panels.panel_cols;
        if (cols < width) {
            std::fill(panel + p0 * width, panel + (p0 + n) * width, T(0));
        }
        panels.copy(b.row(p0) + j0, b.stride, n, cols, panel + p0 * width, width);
    }

    /// Rows i0 .. i0 + rows of a^T from p0 on as [p, tile_rows].
    void pack_transposed(Matrix<const T> a, Index i0, Index rows, Index p0, Index n, T* to) const
    {
        panels.copy(a.row(p0) + i0, a.stride, n, rows, to, panels.tile_rows);
    }

    static constexpr bool reads_in_place = true;
};

/// Operands rounded to bf16 and multiplied in pairs along k.
struct Paired {
    using Element = Pair;
    const Panels<float, Pair>& panels = *level().pairs;

    static constexpr Index rows_of_step = 2;
    static Index steps(Index k) { return (k + 1) / 2; }

    void pack_turned(Matrix<const float> b, Index k, Index j0, Index cols, Pair* to) const
    {
        const Index width = panels.panel_cols;
        if (cols < width) {
            std::fill(to, to + steps(k) * width, Pair{0});
        }
        Scratch<Pair, 2> lines(cols * steps(k));
        for (Index j = 0; j < cols; ++j) {
            level().pair_along(b.row(j0 + j), k, lines.data() + j * steps(k));
        }
        panels.transpose(lines.data(), steps(k), cols, steps(k), to, width);
    }

    void pack_steps(Matrix<const float> b, Index p0, Index n, Index j0, Index cols, Pair* panel) const
    {
        const Index width = panels.panel_cols;
        level().pair_rows(b.row(2 * p0) + j0, b.stride, std::min(2 * n, b.rows - 2 * p0), cols, panel + p0 * width,
                          width);
    }

    void pack_transposed(Matrix<const float> a, Index i0, Index rows, Index p0, Index n, Pair* to) const
    {
        level().pair_rows(a.row(2 * p0) + i0, a.stride, std::min(2 * n, a.rows - 2 * p0), rows, to, panels.tile_rows);
    }

    /// Row i of a from step p0 on, n steps.
    static void pack_row(Matrix<const float> a, Index i, Index p0, Index n, Pair* to)
    {
        level().pair_along(a.row(i) + 2 * p0, std::min(2 * n, a.cols - 2 * p0), to);
    }

    static constexpr bool reads_in_place = false;
};

template <class T, class Form>
void multiply_columns(ThreadPool& pool, const Form& form, Matrix<const T> a, Transpose op_a, Matrix<const T> b,
                      Transpose op_b, Index k, Index depth, Finish<T> finish, Matrix<T> c)
{
    using Element = typename Form::Element;
    const auto& panels = form.panels;
    const Index width = panels.panel_cols;
    const Index steps = Form::steps(k);
    constexpr Index steps_at_once = rows_at_once / Form::rows_of_step;
    const Index n_panels = ceil_div(c.cols, width);
    const Index work = c.rows * c.cols * std::max<Index>(k, 1);

    Scratch<Element, 0> packed_scratch(n_panels * width * steps);
    Element* const packed = packed_scratch.data();
    const Index packing = c.rows < 4 ? 0 : c.cols * k;
    const auto cols_of = [&](Index panel) { return std::min(width, c.cols - panel * width); };
    if (op_b == Transpose::yes) {
        run(pool, packing, n_panels, [&](Index panel) {
            form.pack_turned(b, k, panel * width, cols_of(panel), packed + panel * width * steps);
        });
    } else {
        // Some rows of B at a time for all panels: whole lines of memory are read once.
        run(pool, packing, ceil_div(steps, steps_at_once), [&](Index task) {
            const Index p0 = task * steps_at_once;
            for (Index panel = 0; panel < n_panels; ++panel) {
                form.pack_steps(b, p0, std::min(steps_at_once, steps - p0), panel * width, cols_of(panel),
                                packed + panel * width * steps);
            }
        });
    }

    // Rows of all columns where there are enough of them, so that they are read, rounded or turned once; narrower tiles
    // while there are too few to share. An element's bits do not depend on its tile.
    const Index down = ceil_div(c.rows, rows_of_tile);
    Index tile_cols = down < 4 * pool.threads() ? cols_of_tile : n_panels * width;
    while (tile_cols > 2 * width && down * ceil_div(c.cols, tile_cols) < 4 * pool.threads()) {
        tile_cols = ceil_div(tile_cols / 2, width) * width;
    }
    const Index across = ceil_div(c.cols, tile_cols);
    // Rows that are rounded or turned are so once for all tiles beside each other.
    const Index padded_rows = ceil_div(c.rows, panels.tile_rows) * panels.tile_rows;
    const bool turned_once = op_a == Transpose::yes && across > 1 && padded_rows * steps <= turned_elements;
    const bool rounded_once = op_a == Transpose::no && across > 1 && !Form::reads_in_place;
    Scratch<Element, 5> rows_scratch(turned_once ? padded_rows * steps : rounded_once ? c.rows * steps : 0);
    Element* const rows = rows_scratch.data();     // of this thread, for all
    const auto turn = [&](Index i0, Index i1, Index p0, Index n, Element* to, Index block_stride) {
        for (Index i = i0; i < i1; i += panels.tile_rows) {
            form.pack_transposed(a, i, std::min(panels.tile_rows, i1 - i), p0, n, to + (i - i0) * block_stride);
        }
    };
    if (turned_once) {
        run(pool, work, ceil_div(steps, steps_at_once), [&](Index task) {
            const Index p0 = task * steps_at_once;
            turn(0, c.rows, p0, std::min(steps_at_once, steps - p0), rows + p0 * panels.tile_rows, steps);
        });
    }
    if constexpr (!Form::reads_in_place) {
        if (rounded_once) {
            run(pool, work, down, [&](Index strip) {
                for (Index i = strip * rows_of_tile; i < std::min(c.rows, (strip + 1) * rows_of_tile); ++i) {
                    form.pack_row(a, i, 0, steps, rows + i * steps);
                }
            });
        }
    }
    run(pool, work, down * across, [&](Index tile) {
        const Index i0 = tile / across * rows_of_tile;
        const Index i1 = std::min(c.rows, i0 + rows_of_tile);
        const Index j0 = tile % across * tile_cols;
        const Index j1 = std::min(c.cols, j0 + tile_cols);
        Scratch<Element, 1> left(rows_of_tile * depth);
        Index p0 = 0;
        do {
            const Index now = std::min(depth, steps - p0);
            const Element* from = left.data();
            Index row_stride = 1;
            Index step_stride = panels.tile_rows;
            if (turned_once) {
                from = rows + i0 * steps + p0 * panels.tile_rows;
            } else if (op_a == Transpose::yes) {
                for (Index p = 0; p < now; p += steps_at_once) {
                    turn(i0, i1, p0 + p, std::min(steps_at_once, now - p), left.data() + p * panels.tile_rows, depth);
                }
            } else if constexpr (Form::reads_in_place) {
                from = a.row(i0) + p0;
                row_stride = a.stride;
                step_stride = 1;
            } else if (rounded_once) {
                from = rows + i0 * steps + p0;
                row_stride = steps;
                step_stride = 1;
            } else {
                for (Index i = i0; i < i1; ++i) {
                    form.pack_row(a, i, p0, now, left.data() + (i - i0) * depth);
                }
                row_stride = depth;
                step_stride = 1;
            }
            const Index block_stride = turned_once ? steps : op_a == Transpose::yes ? depth : row_stride;
            for (Index j = j0; j < j1; j += width) {
                Finish<T> end = finish;
                if (p0 > 0) {
                    end.beta = T(1);
                    end.bias = nullptr;
                } else if (end.bias != nullptr) {
                    end.bias += j;
                }
                const Element* panel = packed + (j / width * steps + p0) * width;
                for (Index i = i0; i < i1; i += panels.tile_rows) {
                    panels.multiply(std::min(panels.tile_rows, i1 - i), std::min(width, c.cols - j), now,
                                    from + (i - i0) * block_stride, row_stride, step_stride, panel, c.row(i) + j,
                                    c.stride, end);
                }
            }
            p0 += now;
        } while (p0 < steps);
    });
}

/// C in ranges of columns whose packed right operand fits the cache: a vocabulary is never packed as a whole. Sums over
/// rows of both operands, as for the gradient of a weight, in ranges of rows.
template <class T, class Form>
void multiply(ThreadPool& pool, const Form& form, Matrix<const T> a, Transpose op_a, Matrix<const T> b,
              Transpose op_b, Index k, Finish<T> finish, Matrix<T> c)
{
    const Index steps = std::max<Index>(1, Form::steps(k));
    const Index depth = ceil_div(steps, ceil_div(steps, most_depth));
    const bool over_rows = op_a == Transpose::yes && op_b == Transpose::no;
    const Index packed_steps = over_rows ? depth : steps;
    const Index range = std::max<Index>(1, packed_elements / packed_steps / cols_of_tile) * cols_of_tile;
    Index chunk = k;
    if (over_rows) {
        const Index fitting = chunk_elements / (c.rows + std::min(range, c.cols));
        chunk = std::max<Index>(1, fitting / depth) * depth * Form::rows_of_step;
    }
    for (Index j = 0; j < c.cols; j += range) {
        const Index cols = std::min(range, c.cols - j);
        const Matrix<const T> part = op_b == Transpose::yes ? Matrix<const T>(b.data + j * b.stride, cols, k, b.stride)
                                                            : Matrix<const T>(b.data + j, k, cols, b.stride);
        const Matrix<T> to(c.data + j, c.rows, cols, c.stride);
        Finish<T> end = finish;
        end.bias = finish.bias == nullptr ? nullptr : finish.bias + j;
        Index p = 0;
        do {
            const Index now = std::min(chunk, k - p);
            const bool whole = now == k;
            multiply_columns<T>(pool, form, whole ? a : Matrix<const T>(a.row(p), now, a.cols, a.stride), op_a,
                                whole ? part : Matrix<const T>(part.row(p), now, cols, part.stride), op_b, now, depth,
                                end, to);
            end.beta = T(1);
            end.bias = nullptr;
            p += now;
        } while (p < k);
    }
}

template <class T>
void product(ThreadPool& pool, Operands operands, Matrix<const T> a, Transpose op_a, Matrix<const T> b,
             Transpose op_b, Finish<T> finish, Matrix<T> c)
{
    const Index k = op_a == Transpose::no ? a.cols : a.rows;
    STILLHOUSE_CHECK((op_a == Transpose::no ? a.rows : a.cols) == c.rows);
    STILLHOUSE_CHECK((op_b == Transpose::no ? b.rows : b.cols) == k);
    STILLHOUSE_CHECK((op_b == Transpose::no ? b.cols : b.rows) == c.cols);
    if (c.rows == 0 || c.cols == 0) {
        return;
    }
    if constexpr (std::is_same_v<T, float>) {
        if (operands == Operands::bf16) {
            if (level().pairs != nullptr) {
                multiply<float>(pool, Paired{}, a, op_a, b, op_b, k, finish, c);
                return;
            }
            // Without such instructions the operands are rounded beforehand: exact products, sums in f32.
            const auto rounded = [&](Matrix<const float> from, Buffer<float>& to) {
                to = Buffer<float>(from.rows * from.cols);
                pool.for_each(from.rows, [&](Index i) {
                    level().round_bf16(from.row(i), from.cols, to.data() + i * from.cols);
                });
                return Matrix<const float>(to.data(), from.rows, from.cols);
            };
            Buffer<float> left;
            Buffer<float> right;
            multiply<float>(pool, Plain<float>{}, rounded(a, left), op_a, rounded(b, right), op_b, k, finish, c);
            return;
        }
    }
    multiply<T>(pool, Plain<T>{}, a, op_a, b, op_b, k, finish, c);
}

}  // namespace

template <class T>
void gemm(ThreadPool& pool, Operands operands, T alpha, Matrix<const T> a, Transpose op_a, Matrix<const T> b,
          Transpose op_b, T beta, Matrix<T> c)
{
    product(pool, operands, a, op_a, b, op_b, Finish<T>{alpha, beta, nullptr}, c);
}

template <class T>
void linear(ThreadPool& pool, Operands operands, Matrix<const T> x, Matrix<const T> w, const T* bias, Matrix<T> y)
{
    product(pool, operands, x, Transpose::no, w, Transpose::yes, Finish<T>{T(1), T(0), bias}, y);
}

template <class T>
void linear_decode(ThreadPool& pool, Operands operands, Matrix<const T> x, Matrix<const T> w, const T* bias,
                   Matrix<T> y)
{
    const Index k = x.cols;
    const Index n = w.rows;
    STILLHOUSE_CHECK(w.cols == k && y.rows == x.rows && y.cols == n);
    if (x.rows == 0 || n == 0) {
        return;
    }
    const bool rounds = std::is_same_v<T, float> && operands == Operands::bf16;
    Scratch<T, 3> left(rounds ? x.rows * k : 0);
    if constexpr (std::is_same_v<T, float>) {
        if (rounds) {
            for (Index i = 0; i < x.rows; ++i) {
                level().round_bf16(x.row(i), k, left.data() + i * k);
            }
            x = Matrix<const float>(left.data(), x.rows, k);
        }
    }
    // About 32 KiB of weights a task: read from memory once, then from the near cache for the other rows.
    const Index bytes = std::max<Index>(1, k) * static_cast<Index>(sizeof(T));
    const Index block = std::clamp<Index>(32768 / bytes / 8 * 8, 8, 64);
    run(pool, x.rows * n * k, ceil_div(n, block), [&](Index task) {
        const Index j0 = task * block;
        const Index cols = std::min(block, n - j0);
        const T* weights = w.row(j0);
        Index stride = w.stride;
        Scratch<T, 4> right(rounds ? block * k : 0);
        if constexpr (std::is_same_v<T, float>) {
            if (rounds) {
                for (Index j = 0; j < cols; ++j) {
                    level().round_bf16(w.row(j0 + j), k, right.data() + j * k);
                }
                weights = right.data();
                stride = k;
            }
        }
        kernels<T>().dots(x.data, x.stride, x.rows, weights, stride, cols, k, bias == nullptr ? nullptr : bias + j0,
                          y.data + j0, y.stride);
    });
}

#define STILLHOUSE_INSTANTIATE(T)                                                                                   \
    template void gemm<T>(ThreadPool&, Operands, T, Matrix<const T>, Transpose, Matrix<const T>, Transpose, T,      \
                          Matrix<T>);                                                                               \
    template void linear<T>(ThreadPool&, Operands, Matrix<const T>, Matrix<const T>, const T*, Matrix<T>);          \
    template void linear_decode<T>(ThreadPool&, Operands, Matrix<const T>, Matrix<const T>, const T*, Matrix<T>);
STILLHOUSE_INSTANTIATE(float)
STILLHOUSE_INSTANTIATE(double)
#undef STILLHOUSE_INSTANTIATE

}  // namespace stillhouse::compute::cpu
