-- The surface is the smile; the forwards say what it is measured from, and how that was found.
with surfaces as (

    select * from {{ ref('stg_lake__vol_surface') }}

),

forwards as (

    select * from {{ ref('stg_lake__forwards') }}

),

last_surfaces as (

    select * from {{ ref('int_session_last_surfaces__selected') }}

),

final as (

    select
        -- keys
        concat_ws(
            '|',
            surfaces.underlying,
            surfaces.session_date,
            surfaces.root,
            surfaces.expiry_date
        ) as vol_surface_id,
        concat_ws('|', surfaces.underlying, surfaces.session_date) as session_id,
        surfaces.underlying,
        surfaces.session_date,
        surfaces.event_at,
        surfaces.known_at,
        surfaces.root,
        surfaces.expiry_date,
        surfaces.expires_at,
        -- the surface's is shorter where an average settles: its vols are per year of variance
        forwards.year_fraction,

        -- what the smile rests on
        surfaces.method,
        surfaces.age_seconds,
        surfaces.quotes,
        surfaces.domain_low,
        surfaces.domain_high,

        -- forward and discount
        surfaces.spot,
        surfaces.forward,
        forwards.forward_error,
        surfaces.discount,
        forwards.rate,
        forwards.rate_error,
        forwards.rate_source,
        forwards.curve_date,
        forwards.carry,
        forwards.dividend_value,
        forwards.method as forward_method,
        forwards.quality as forward_quality,

        -- shape
        surfaces.atm_vol,
        surfaces.skew,
        surfaces.curvature,
        surfaces.risk_reversal_25,
        surfaces.butterfly_25,
        surfaces.risk_reversal_10,
        surfaces.butterfly_10,
        surfaces.forward_vol,

        -- quality of the fit
        surfaces.in_spread_share,
        surfaces.rms_half_spreads,
        surfaces.atm_error_bp,
        surfaces.butterfly_slack,
        surfaces.calendar_slack,
        surfaces.parity_residual,
    from surfaces
    inner join last_surfaces
        on surfaces.underlying = last_surfaces.underlying
        and surfaces.session_date = last_surfaces.session_date
        and surfaces.event_at = last_surfaces.event_at
    left join forwards
        on surfaces.underlying = forwards.underlying
        and surfaces.session_date = forwards.session_date
        and surfaces.event_at = forwards.event_at
        and surfaces.root = forwards.root
        and surfaces.expiry_date = forwards.expiry_date

)

select * from final
